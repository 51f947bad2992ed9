/**
 * Whether anybody still waits for an answer. What an AbortSignal does, for those who are within the isolate: there each
 * listener is a call into the runtime, and every request has some.
 */
export class ClientDisconnect {
  #aborted = false;
  readonly #listeners = new Set<() => void>();

  /** Nobody waits any more. */
  get aborted(): boolean {
    return this.#aborted;
  }

  /** Safe to repeat: each listener hears of it once. */
  abort(): void {
    this.#aborted = true;
    for (const listener of this.#listeners) {
      this.#listeners.delete(listener);
      listener();
    }
  }

  /** Who waits is gone when this says so. */
  follow(signal: AbortSignal): void {
    if (signal.aborted) this.abort();
    else signal.addEventListener('abort', () => this.abort(), { once: true });
  }

  /** Calls `listener` when the last one leaves, now if that has been. @returns stops that */
  listen(listener: () => void): () => void {
    if (this.#aborted) listener();
    else this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
