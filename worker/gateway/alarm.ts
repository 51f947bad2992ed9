/**
 * A deadline that keeps moving, on a timer that does not: a timer costs as much as a token, and an answer has hundreds of
 * deadlines. It rings at the earliest when it is due, and looks at least every `lookEveryMs` whether it is.
 */
export class Alarm {
  readonly #lookEveryMs: number;
  #timer: { id: ReturnType<typeof setTimeout>; atMs: number } | null = null;
  #dueMs = Number.POSITIVE_INFINITY;
  #ring: () => void = () => {};

  constructor(lookEveryMs: number) {
    this.#lookEveryMs = lookEveryMs;
  }

  /** Instead of whatever was set before. Once it has rung it has to be set again. */
  set(dueMs: number, ring: () => void): void {
    this.#dueMs = dueMs;
    this.#ring = ring;
    if (this.#timer === null || this.#timer.atMs > dueMs) this.#start();
  }

  clear(): void {
    this.#dueMs = Number.POSITIVE_INFINITY;
    if (this.#timer) clearTimeout(this.#timer.id);
    this.#timer = null;
  }

  #start(): void {
    if (this.#timer) clearTimeout(this.#timer.id);
    const nowMs = Date.now();
    const waitMs = Math.max(0, Math.min(this.#dueMs - nowMs, this.#lookEveryMs));
    this.#timer = { id: setTimeout(() => this.#look(), waitMs), atMs: nowMs + waitMs };
  }

  #look(): void {
    this.#timer = null;
    if (Date.now() < this.#dueMs) this.#start();
    else this.#ring();
  }
}
