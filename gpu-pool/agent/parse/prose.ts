/**
 * The text of an answer beside its calls. Blanks around a call belong to its markup and are left out, unless they are
 * between two texts; so blanks are held back until it is known what follows them.
 */
import { Blanks } from './blanks.ts';
import { content, type Piece } from './piece.ts';

export class Prose {
  /** Blanks between the last text and the first call behind it. */
  #beforeCall = '';
  /** Blanks since the last text or call. */
  readonly #blanks = new Blanks();
  #begun = false;
  #afterCall = false;

  feed(text: string): Piece[] {
    if (this.#blanks.keep(text)) return [];
    const rest = this.#blanks.take() + text;
    const end = rest.trimEnd().length;
    this.#blanks.keep(rest.slice(end));
    const body = rest.slice(0, end);
    const shown = this.#afterCall && !this.#begun ? body.trimStart() : this.#beforeCall + body;
    this.#beforeCall = '';
    this.#begun = true;
    this.#afterCall = false;
    return content(shown);
  }

  /** A call begins or has ended here. */
  call(): void {
    const blanks = this.#blanks.take();
    if (!this.#afterCall) this.#beforeCall = blanks;
    this.#afterCall = true;
  }

  /** The rest, with a text that might have become a tag; behind a call it is the beginning of one. */
  end(text: string): Piece[] {
    if (this.#afterCall) return [];
    const pieces = this.feed(text);
    return [...pieces, ...content(this.#blanks.take())];
  }
}
