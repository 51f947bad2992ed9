/** The trace of a world: a digest over all events, the text of the latest ones, and the number of each kind. */

/** The number of latest events that are kept, enough for all events of a request that ran beside a hundred others. */
const KEPT = 20_000;

export class Trace {
  readonly counts = new Map<string, number>();
  readonly #kept: string[] = [];
  #at = 0;
  #high = 0xdeadbeef;
  #low = 0x41c6ce57;

  /** Adds an event. @param about the request, node or account that it happened to */
  note(atMs: number, what: string, about: string): void {
    this.#hash(what);
    this.#hash(about);
    this.#mix(Math.floor(atMs * 1_000) | 0);
    this.#kept[this.#at] = `${atMs.toFixed(3)} ${what} ${about}`;
    this.#at = (this.#at + 1) % KEPT;
  }

  count(what: string, times = 1): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + times);
  }

  /** 64 bits in hex, which are equal for equal histories. */
  get digest(): string {
    return [this.#high, this.#low].map((half) => (half >>> 0).toString(16).padStart(8, '0')).join('');
  }

  /** The latest events about `about`, oldest first. */
  lastAbout(about: string, limit: number): string[] {
    const ordered = [...this.#kept.slice(this.#at), ...this.#kept.slice(0, this.#at)];
    return ordered.filter((line) => line.includes(about)).slice(-limit);
  }

  #hash(text: string): void {
    for (let i = 0; i < text.length; i++) this.#mix(text.charCodeAt(i));
  }

  #mix(value: number): void {
    this.#high = Math.imul(this.#high ^ value, 2_654_435_761);
    this.#low = Math.imul(this.#low ^ value ^ (this.#high >>> 15), 1_597_334_677);
  }
}
