/** The texts that came last, as many as fit within a length. */
export class RecentTexts {
  readonly #texts = new Set<string>();
  readonly #lengthMax: number;
  #length = 0;

  /** @param lengthMax of all texts together, in characters */
  constructor(lengthMax: number) {
    this.#lengthMax = lengthMax;
  }

  has(text: string): boolean {
    return this.#texts.has(text);
  }

  /** Adds a text, and forgets the oldest where there is no room. One that would take more than half is not kept. */
  add(text: string): void {
    if (text.length > this.#lengthMax / 2 || this.#texts.has(text)) return;
    this.#texts.add(text);
    this.#length += text.length;
    for (const oldest of this.#texts) {
      if (this.#length <= this.#lengthMax) return;
      this.#texts.delete(oldest);
      this.#length -= oldest.length;
    }
  }
}
