/**
 * Calls between `<tool_call>` tags whose arguments are no JSON, so that they can be told only when all of them are there:
 * each call is held back until its end.
 */
import type { Parser, Piece } from './piece.ts';
import { Prose } from './prose.ts';
import { findTag, HeldText } from './tags.ts';
import type { CallStart } from './thought.ts';

const END = '</tool_call>';

/**
 * The calls of a text between tags; none where it is no call, and so stays text. `cut`: its end is missing, so that the
 * JSON of its arguments is not closed either.
 */
export type ParseCall = (body: string, options: { cut: boolean }) => Piece[];

export class TaggedCalls implements Parser {
  readonly #start: CallStart;
  readonly #parse: ParseCall;
  readonly #prose = new Prose();
  #state: 'prose' | 'start' | 'call' = 'prose';
  #buffer = '';
  readonly #call = new HeldText(END);

  constructor(start: CallStart, parse: ParseCall) {
    this.#start = start;
    this.#parse = parse;
  }

  feed(text: string): Piece[] {
    this.#buffer += text;
    const pieces: Piece[] = [];
    while (this.#step(pieces)) if (this.#buffer === '') break;
    return pieces;
  }

  end(options: { cut: boolean }): Piece[] {
    const rest = this.#buffer;
    this.#buffer = '';
    if (this.#state === 'prose') return this.#prose.end(rest);
    // A call that was cut off is passed on as far as it can be read.
    return this.#state === 'call' ? this.#parse(this.#call.take(), options) : [];
  }

  #step(pieces: Piece[]): boolean {
    switch (this.#state) {
      case 'prose':
        return this.#inProse(pieces);
      case 'start':
        return this.#atStart(pieces);
      case 'call':
        return this.#inCall(pieces);
    }
  }

  #inProse(pieces: Piece[]): boolean {
    const { at, tag } = findTag(this.#buffer, [this.#start.tag]);
    pieces.push(...this.#prose.feed(this.#buffer.slice(0, at)));
    this.#buffer = this.#buffer.slice(at + (tag?.length ?? 0));
    if (tag !== null) this.#state = 'start';
    return tag !== null;
  }

  #atStart(pieces: Piece[]): boolean {
    const begins = this.#start.begins(this.#buffer);
    if (begins === null) return false;
    if (!begins) pieces.push(...this.#prose.feed(this.#start.tag));
    this.#state = begins ? 'call' : 'prose';
    return true;
  }

  #inCall(pieces: Piece[]): boolean {
    const ended = this.#call.add(this.#buffer);
    this.#buffer = ended?.rest ?? '';
    if (ended === null) return false;
    const calls = this.#parse(ended.body, { cut: false });
    if (calls.length > 0) this.#prose.call();
    pieces.push(...(calls.length > 0 ? calls : this.#prose.feed(this.#start.tag + ended.body + ended.end)));
    this.#state = 'prose';
    return true;
  }
}
