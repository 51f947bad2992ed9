/** Reads the tokens of one choice as the engine's HTTP server does: into reasoning, content and calls of tools. */
import { Detokenizer, decode } from './detokenizer.ts';
import type { Finish, PlannedToken } from './plan.ts';
import { ReasoningParser, separateWhole } from './reasoning-parser.ts';
import type { ChatRequest } from './request.ts';
import { readWhole, type ToolDelta, ToolParser } from './tool-parser.ts';

/** Parsers that the engine was started with, and what its release does with them. */
export interface Parsers {
  reasoning: boolean;
  tools: boolean;
  callsNumberedByTool: boolean;
}

/** One piece of a stream, which becomes a frame of its own. */
export type Piece = { kind: 'reasoning' | 'content'; text: string } | ParsedPiece;

/** A part that has passed the parser of tools, whose frames are written differently. */
export type ParsedPiece =
  | { kind: 'text'; text: string }
  | { kind: 'call'; call: ToolDelta }
  /** The end of a call's arguments that the parser had not brought: the one frame without usage. */
  | { kind: 'rest'; call: ToolDelta };

export interface WholeChoice {
  reasoning: string;
  content: string;
  calls: ToolDelta[];
  finish: Finish;
}

export class ChoiceReader {
  readonly #text = new Detokenizer();
  readonly #reasoning: ReasoningParser | null;
  readonly #tools: ToolParser | null;
  #calledTools = false;

  constructor(request: ChatRequest, parsers: Parsers) {
    const { separateReasoning, streamReasoning: streams, continued } = request;
    this.#reasoning =
      parsers.reasoning && separateReasoning
        ? new ReasoningParser({ streams, previous: continued ?? '' })
        : null;
    this.#tools = readsTools(request, parsers) ? new ToolParser() : null;
  }

  get calledTools(): boolean {
    return this.#calledTools;
  }

  /** `finish` comes with the choice's last token. An abort flushes nothing. */
  push(token: PlannedToken, finish: Finish | null): Piece[] {
    const pieces: Piece[] = [];
    let text = this.#text.push(token.text, finish);
    if (this.#reasoning) {
      const { reasoning, answer } = this.#reasoning.push(text);
      const rest = finish ? this.#reasoning.end() : { reasoning: '', answer: '' };
      if (reasoning + rest.reasoning) pieces.push({ kind: 'reasoning', text: reasoning + rest.reasoning });
      text = answer + rest.answer;
    }
    if (this.#tools === null) return text === '' ? pieces : [...pieces, { kind: 'content', text }];
    const read = this.#tools.push(text);
    if (read.calls.length > 0) this.#calledTools = true;
    const rest = finish ? this.#tools.end() : [];
    return [
      ...pieces,
      ...(read.text === '' ? [] : [{ kind: 'text', text: read.text } as const]),
      ...read.calls.map((call) => ({ kind: 'call', call }) as const),
      ...rest.map((call) => ({ kind: 'rest', call }) as const),
    ];
  }
}

/** Reads a whole choice at once, where cuts play no part. */
export function readChoice(
  tokens: readonly PlannedToken[],
  finish: Finish,
  { request, parsers }: { request: ChatRequest; parsers: Parsers },
): WholeChoice {
  const text = decode(
    tokens.map((token) => token.text),
    finish,
  );
  const { reasoning, answer } =
    parsers.reasoning && request.separateReasoning
      ? separateWhole(text, request.continued ?? '')
      : { reasoning: '', answer: text };
  const names = request.tools.map(({ name }) => name);
  const read = readsTools(request, parsers) ? readWhole(answer, names) : null;
  if (read === null) return { reasoning, content: answer, calls: [], finish };
  const ended = read.calls.length > 0 && finish.type === 'stop';
  return {
    reasoning,
    content: read.text,
    calls: parsers.callsNumberedByTool
      ? read.calls.map((call) => ({ ...call, index: names.indexOf(call.name!) }))
      : read.calls,
    finish: ended ? { type: 'tool_calls', matched: null } : finish,
  };
}

/** See serving_chat.py, `_tool_call_parsing_active`. */
function readsTools({ tools, toolChoice, callMarkup }: ChatRequest, parsers: Parsers): boolean {
  if (callMarkup !== null) return false;
  return parsers.tools && tools.length > 0 && toolChoice !== 'none';
}
