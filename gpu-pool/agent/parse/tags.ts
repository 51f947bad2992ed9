/** Tags in a text of which the end may not have arrived yet. */

export interface TagPosition {
  /** Where the tag begins; without one, how much of the text can be no part of a tag. */
  at: number;
  /** Null: the text has no whole tag. */
  tag: string | null;
}

/** Finds the first of some tags, or how much of the text is certain to be before any of them. */
export function findTag(text: string, tags: readonly string[]): TagPosition {
  let at = -1;
  let found: string | null = null;
  for (const tag of tags) {
    const index = text.indexOf(tag);
    if (index < 0 || (found !== null && index >= at)) continue;
    at = index;
    found = tag;
  }
  return found === null ? { at: safeLength(text, tags), tag: null } : { at, tag: found };
}

/** How much of a text is before anything that may be the beginning of a tag. */
function safeLength(text: string, tags: readonly string[]): number {
  const longest = tags.reduce((length, tag) => Math.max(length, tag.length), 0);
  for (let from = Math.max(0, text.length - longest + 1); from < text.length; from += 1) {
    const first = text[from];
    if (tags.some((tag) => tag[0] === first && tag.startsWith(text.slice(from)))) return from;
  }
  return text.length;
}

/** A text that is held until one of some tags ends it. Only its end is looked at again when more arrives. */
export class HeldText {
  readonly #ends: readonly string[];
  readonly #overlap: number;
  #parts: string[] = [];
  #tail = '';

  constructor(...ends: string[]) {
    this.#ends = ends;
    this.#overlap = Math.max(...ends.map((end) => end.length)) - 1;
  }

  /** Adds text. Once an end is there: the text before it, that end, and the text behind it. */
  add(text: string): { body: string; end: string; rest: string } | null {
    this.#parts.push(text);
    const window = this.#tail + text;
    this.#tail = window.slice(Math.max(0, window.length - this.#overlap));
    if (findTag(window, this.#ends).tag === null) return null;
    const whole = this.take();
    const { at, tag } = findTag(whole, this.#ends);
    const end = tag ?? '';
    return { body: whole.slice(0, at), end, rest: whole.slice(at + end.length) };
  }

  /** All that is held, which is then held no longer. */
  take(): string {
    const whole = this.#parts.join('');
    this.#parts = [];
    this.#tail = '';
    return whole;
  }
}
