/**
 * Tells whether the client still waits for its answer. It does what an AbortSignal does, without the cost: each listener
 * of an AbortSignal is a call into the runtime, and every request has several.
 */
export class ClientDisconnect {
  #aborted = false;
  readonly #listeners = new Set<() => void>();

  /** True once the client has disconnected. */
  get aborted(): boolean {
    return this.#aborted;
  }

  /** Marks the client as disconnected. Safe to repeat: each listener is called once. */
  abort(): void {
    this.#aborted = true;
    for (const listener of this.#listeners) {
      this.#listeners.delete(listener);
      listener();
    }
  }

  /** Takes the abort of `signal` for a disconnect of the client. */
  follow(signal: AbortSignal): void {
    if (signal.aborted) this.abort();
    else signal.addEventListener('abort', () => this.abort(), { once: true });
  }

  /**
   * Calls `listener` when the client disconnects, or at once if it has already.
   * @returns a function that removes the listener
   */
  listen(listener: () => void): () => void {
    if (this.#aborted) listener();
    else this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
