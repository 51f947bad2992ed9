/** Blanks that are held back, however many a model writes: each is looked at once. */

export class Blanks {
  #parts: string[] = [];

  /** Keeps a text of nothing but blanks; false where it is more, and not kept. */
  keep(text: string): boolean {
    if (text.trim() !== '') return false;
    if (text !== '') this.#parts.push(text);
    return true;
  }

  /** All that are held, which are then held no longer. */
  take(): string {
    const text = this.#parts.join('');
    this.#parts = [];
    return text;
  }
}
