/**
 * Calls of DeepSeek R1, V3 and V3.1. R1 and V3 fence the arguments:
 * `<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>NAME\n```json\n{…}\n```<｜tool▁call▁end｜>…<｜tool▁calls▁end｜>`;
 * V3.1 writes `<｜tool▁call▁begin｜>NAME<｜tool▁sep｜>{…}<｜tool▁call▁end｜>`.
 */
import type { Parser, Piece } from './piece.ts';
import { Prose } from './prose.ts';
import { StreamedArguments } from './streamed-arguments.ts';
import { findTag } from './tags.ts';

const CALLS_BEGIN = '<｜tool▁calls▁begin｜>';
const CALLS_END = '<｜tool▁calls▁end｜>';
const CALL_BEGIN = '<｜tool▁call▁begin｜>';
const CALL_END = '<｜tool▁call▁end｜>';
const SEPARATOR = '<｜tool▁sep｜>';
const FENCE = '\n```';
const MARKUP = [CALLS_BEGIN, CALLS_END, CALL_BEGIN, CALL_END];
/** Tags behind which no argument comes: a call whose own end is missing ends at another's beginning. */
const ENDS = [CALL_END, CALLS_END, CALL_BEGIN];

export class DeepSeekCalls implements Parser {
  readonly #fenced: boolean;
  readonly #prose = new Prose();
  #state: 'prose' | 'header' | 'arguments' | 'behind' = 'prose';
  #buffer = '';
  #arguments = new StreamedArguments(ENDS);

  constructor({ fenced }: { fenced: boolean }) {
    this.#fenced = fenced;
  }

  feed(text: string): Piece[] {
    this.#buffer += text;
    const pieces: Piece[] = [];
    // Each step takes something from the buffer, until one needs more text than there is.
    while (this.#step(pieces)) if (this.#buffer === '') break;
    return pieces;
  }

  end(): Piece[] {
    const rest = this.#buffer;
    this.#buffer = '';
    return this.#state === 'prose' ? this.#prose.end(rest) : [];
  }

  #step(pieces: Piece[]): boolean {
    switch (this.#state) {
      case 'prose':
        return this.#inProse(pieces);
      case 'header':
        return this.#inHeader(pieces);
      case 'arguments':
        return this.#inArguments(pieces);
      case 'behind':
        return this.#behindArguments();
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

  /** Reads the name, and the fence where there is one: a model may forget it. */
  #inHeader(pieces: Piece[]): boolean {
    const ended = findTag(this.#buffer, ENDS);
    const header = this.#buffer.slice(0, ended.at);
    const separator = header.indexOf(SEPARATOR);
    const named = this.#fenced
      ? fencedName(separator < 0 ? null : header.slice(separator + SEPARATOR.length), ended.tag !== null)
      : plainName(header, separator);
    if (named !== null) {
      pieces.push({ kind: 'call', name: named.name });
      this.#arguments = new StreamedArguments(this.#fenced ? [FENCE, ...ENDS] : ENDS);
      this.#state = 'arguments';
      this.#buffer = named.rest + this.#buffer.slice(ended.at);
      return true;
    }
    if (ended.tag === null) return false;
    // Markup without a name is no call.
    this.#buffer = this.#buffer.slice(ended.at);
    this.#state = 'prose';
    return true;
  }

  #inArguments(pieces: Piece[]): boolean {
    const { pieces: passed, rest } = this.#arguments.feed(this.#buffer);
    pieces.push(...passed);
    this.#buffer = rest ?? '';
    if (rest === null) return false;
    this.#state = 'behind';
    return true;
  }

  /** Skips the closing fence up to the tag that ends the call. */
  #behindArguments(): boolean {
    const { at, tag } = findTag(this.#buffer, ENDS);
    this.#buffer = this.#buffer.slice(at);
    if (tag === null) return false;
    this.#state = 'prose';
    return true;
  }
}

interface Named {
  name: string;
  /** The arguments as far as they are there. */
  rest: string;
}

/** `whole`: no more of the call comes. */
function fencedName(text: string | null, whole: boolean): Named | null {
  const fence = /^\s*([^\n]*?)\s*\n```(?:json)?[ \t]*(?=\n)/.exec(text ?? '');
  if (text === null) return null;
  if (fence?.[1]) return { name: fence[1], rest: text.slice(fence[0].length) };
  const bare = whole ? /^\s*([^\n{]+)/.exec(text) : null;
  const name = bare?.[1]?.trim();
  if (bare === null || !name) return null;
  return { name, rest: text.slice(bare[0].length).replace(/^\s*```(?:json)?/, '') };
}

function plainName(header: string, separator: number): Named | null {
  const name = header.slice(0, Math.max(0, separator)).trim();
  return name === '' ? null : { name, rest: header.slice(separator + SEPARATOR.length) };
}
