/** Text of a choice from its tokens, as it grows and as a whole (detokenizer_manager.py). */
import type { Finish } from './plan.ts';
import { PART_OF_A_CHARACTER, SILENT } from './tokenizer.ts';

export class Detokenizer {
  #decoded = '';
  #sentLength = 0;
  #holdsPart = false;

  /** The new text: empty for special tokens, and until a character is complete. */
  push(token: string, finish: Finish | null): string {
    if (token === PART_OF_A_CHARACTER) this.#holdsPart = true;
    else if (!SILENT.has(token)) {
      this.#holdsPart = false;
      this.#decoded += token;
    }
    const text = finish === null ? this.#decoded : this.whole(finish);
    // Text that has been sent stays sent, even if it turns out to be the beginning of a stop string.
    const fresh = text.slice(this.#sentLength);
    this.#sentLength = Math.max(this.#sentLength, text.length);
    return fresh;
  }

  /** All of the text, without the stop string that ended it. */
  whole({ matched }: Finish): string {
    const text = this.#holdsPart ? this.#decoded + PART_OF_A_CHARACTER : this.#decoded;
    const end = typeof matched === 'string' ? text.indexOf(matched) : -1;
    return end === -1 ? text : text.slice(0, end);
  }
}

/** All of a choice's text at once. */
export function decode(tokens: readonly string[], finish: Finish): string {
  const text = new Detokenizer();
  for (const token of tokens) text.push(token, null);
  return text.whole(finish);
}
