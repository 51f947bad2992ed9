/** Takes a model's raw text apart: its thought, its answer and its calls. One for each choice. */
import { alwaysThinks, callFormat, callStart, type ParserNames } from './formats.ts';
import type { Parser, Piece } from './piece.ts';
import { ThoughtParser } from './thought.ts';
import type { ToolDefinition } from './tool-schema.ts';

/** How the text of an answer is to be read. */
export interface AnswerFormat {
  parsers: ParserNames;
  /** Where the text goes on from what a client has written: inside its thought, or behind it. Absent: it begins anew. */
  goesOnIn?: 'thought' | 'answer' | undefined;
  /** Null: the request has no tools, or may call none. */
  calls: {
    tools: readonly ToolDefinition[];
    /** Calls earlier in the conversation. */
    priorCalls: number;
    /** A grammar makes the model write its calls as a JSON list. */
    list: boolean;
  } | null;
}

export class AnswerParser implements Parser {
  readonly #thought: ThoughtParser | null;
  readonly #calls: Parser | null;

  /** `thinking`: whether the text begins inside a thought; null: not known. */
  constructor({ parsers, calls, goesOnIn }: AnswerFormat, { thinking }: { thinking: boolean | null }) {
    const format = calls === null ? undefined : callFormat(parsers.tools ?? '', calls);
    this.#calls = (calls && format?.create(calls)) ?? null;
    this.#thought =
      parsers.reasoning === null
        ? null
        : new ThoughtParser({
            open: thinking ?? alwaysThinks(parsers.reasoning),
            goesOnIn,
            callStart: calls === null ? null : callStart(parsers),
          });
  }

  /** Whether the text so far ends inside a thought. */
  get thinking(): boolean {
    return this.#thought?.thinking ?? false;
  }

  feed(text: string): Piece[] {
    return this.#withCalls(this.#thought?.feed(text) ?? [{ kind: 'content', text }]);
  }

  end(options: { cut: boolean }): Piece[] {
    return [...this.#withCalls(this.#thought?.end() ?? []), ...(this.#calls?.end(options) ?? [])];
  }

  #withCalls(pieces: Piece[]): Piece[] {
    const calls = this.#calls;
    if (calls === null) return pieces;
    return pieces.flatMap((piece) => (piece.kind === 'content' ? calls.feed(piece.text) : [piece]));
  }
}
