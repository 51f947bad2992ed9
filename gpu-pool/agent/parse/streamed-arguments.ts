/**
 * Arguments that are passed on as the model writes them, up to the markup that ends them. Blanks around them are left
 * out; none at all are `{}`.
 */
import { Blanks } from './blanks.ts';
import type { Piece } from './piece.ts';
import { findTag } from './tags.ts';

export class StreamedArguments {
  readonly #ends: readonly string[];
  readonly #blanks = new Blanks();
  /** Text that may begin an end, with the blanks before it. */
  #held = '';
  #empty = true;

  constructor(ends: readonly string[]) {
    this.#ends = ends;
  }

  /** Takes text. `rest`: the text from the end of the arguments on, once it is there; nothing more is taken then. */
  feed(text: string): { pieces: Piece[]; rest: string | null } {
    if (this.#held === '' && this.#blanks.keep(text)) return { pieces: [], rest: null };
    const held = this.#held + this.#blanks.take() + text;
    const { at, tag } = findTag(held, this.#ends);
    const body = held.slice(0, at);
    const end = body.trimEnd().length;
    const start = this.#empty ? body.length - body.trimStart().length : 0;
    const pieces: Piece[] = start < end ? [{ kind: 'arguments', text: body.slice(start, end) }] : [];
    if (pieces.length > 0) this.#empty = false;
    // Blanks may belong to the end, as the line break before a closing fence does.
    this.#held = held.slice(start < end ? end : 0);
    if (this.#blanks.keep(this.#held)) this.#held = '';
    if (tag === null) return { pieces, rest: null };
    if (this.#empty) pieces.push({ kind: 'arguments', text: '{}' });
    return { pieces, rest: held.slice(at) };
  }
}
