/**
 * Calls of Kimi K2:
 * `<|tool_calls_section_begin|><|tool_call_begin|>functions.NAME:0<|tool_call_argument_begin|>{…}<|tool_call_end|>…<|tool_calls_section_end|>`.
 * A model may write a mere number for the name, which then follows from the arguments.
 */
import { type Parser, type Piece, wholeCall } from './piece.ts';
import { Prose } from './prose.ts';
import { StreamedArguments } from './streamed-arguments.ts';
import { findTag, HeldText } from './tags.ts';
import { parametersOf, type ToolDefinition } from './tool-schema.ts';

const SECTION_BEGIN = '<|tool_calls_section_begin|>';
const SECTION_END = '<|tool_calls_section_end|>';
const CALL_BEGIN = '<|tool_call_begin|>';
const CALL_END = '<|tool_call_end|>';
const ARGUMENTS_BEGIN = '<|tool_call_argument_begin|>';
const ENDS = [CALL_END, SECTION_END, CALL_BEGIN];
const MARKUP = [SECTION_BEGIN, SECTION_END, CALL_BEGIN, CALL_END, ARGUMENTS_BEGIN];

export class KimiCalls implements Parser {
  readonly #tools: readonly ToolDefinition[];
  readonly #prose = new Prose();
  #callCount: number;
  #state: 'prose' | 'header' | 'arguments' | 'nameless' = 'prose';
  #buffer = '';
  #arguments = new StreamedArguments(ENDS);
  readonly #nameless = new HeldText(...ENDS);

  /** `priorCalls`: calls earlier in the conversation, with which the ids go on as the template wants. */
  constructor({ tools, priorCalls }: { tools: readonly ToolDefinition[]; priorCalls: number }) {
    this.#tools = tools;
    this.#callCount = priorCalls;
  }

  feed(text: string): Piece[] {
    this.#buffer += text;
    const pieces: Piece[] = [];
    while (this.#step(pieces)) if (this.#buffer === '') break;
    return pieces;
  }

  end(): Piece[] {
    const rest = this.#buffer;
    this.#buffer = '';
    if (this.#state === 'prose') return this.#prose.end(rest);
    return this.#state === 'nameless' ? this.#inferred(this.#nameless.take()) : [];
  }

  #step(pieces: Piece[]): boolean {
    switch (this.#state) {
      case 'prose':
        return this.#inProse(pieces);
      case 'header':
        return this.#inHeader(pieces);
      case 'arguments':
        return this.#inArguments(pieces);
      case 'nameless':
        return this.#inNameless(pieces);
    }
  }

  #inProse(pieces: Piece[]): boolean {
    const { at, tag } = findTag(this.#buffer, MARKUP);
    pieces.push(...this.#prose.feed(this.#buffer.slice(0, at)));
    this.#buffer = this.#buffer.slice(at + (tag?.length ?? 0));
    if (tag === null) return false;
    this.#prose.call();
    if (tag === CALL_BEGIN) this.#state = 'header';
    return true;
  }

  #inHeader(pieces: Piece[]): boolean {
    const { at, tag } = findTag(this.#buffer, [ARGUMENTS_BEGIN, ...ENDS]);
    if (tag === null) return false;
    const header = this.#buffer.slice(0, at).trim();
    this.#buffer = this.#buffer.slice(tag === ARGUMENTS_BEGIN ? at + tag.length : at);
    if (tag !== ARGUMENTS_BEGIN) {
      // Markup without arguments is no call.
      this.#state = 'prose';
    } else if (/^\d*$/.test(header)) {
      this.#state = 'nameless';
    } else {
      pieces.push(this.#opened(header.replace(/^functions\./, '').replace(/:\d+$/, '')));
      this.#arguments = new StreamedArguments(ENDS);
      this.#state = 'arguments';
    }
    return true;
  }

  #inArguments(pieces: Piece[]): boolean {
    const { pieces: passed, rest } = this.#arguments.feed(this.#buffer);
    pieces.push(...passed);
    this.#buffer = rest ?? '';
    if (rest !== null) this.#state = 'prose';
    return rest !== null;
  }

  #inNameless(pieces: Piece[]): boolean {
    const ended = this.#nameless.add(this.#buffer);
    this.#buffer = ended === null ? '' : ended.end + ended.rest;
    if (ended === null) return false;
    pieces.push(...this.#inferred(ended.body));
    this.#state = 'prose';
    return true;
  }

  #opened(name: string): Piece & { kind: 'call' } {
    const id = `functions.${name}:${this.#callCount}`;
    this.#callCount += 1;
    return { kind: 'call', name, id };
  }

  /** A call whose name is that of the only tool, or of the one whose parameters fit best. */
  #inferred(argumentsJson: string): Piece[] {
    const name = this.#tools.length === 1 ? this.#tools[0]?.name : bestFit(this.#tools, argumentsJson);
    if (name === undefined) return [];
    const [, ...rest] = wholeCall(name, argumentsJson.trim() || '{}');
    return [this.#opened(name), ...rest];
  }
}

function bestFit(tools: readonly ToolDefinition[], argumentsJson: string): string | undefined {
  const given = keysOf(argumentsJson);
  if (given === null) return undefined;
  const score = (tool: ToolDefinition) => {
    const known = parametersOf(tool.parameters);
    const fitting = given.filter((key) => Object.hasOwn(known, key)).length;
    return fitting - (given.length - fitting);
  };
  return tools
    .filter((tool) => Object.keys(parametersOf(tool.parameters)).length > 0)
    .map((tool) => ({ name: tool.name, score: score(tool) }))
    .sort((a, b) => b.score - a.score)[0]?.name;
}

function keysOf(json: string): string[] | null {
  try {
    const value: unknown = JSON.parse(json);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? Object.keys(value) : null;
  } catch {
    return null;
  }
}
