/** AbortController and AbortSignal as the Worker uses them: one event, dispatched synchronously and in order. */

type Listener = () => void;

export class SimAbortSignal {
  aborted = false;
  reason: unknown;
  #listeners: Listener[] = [];

  addEventListener(_type: 'abort', listener: Listener): void {
    if (!this.aborted) this.#listeners.push(listener);
  }

  removeEventListener(_type: 'abort', listener: Listener): void {
    this.#listeners = this.#listeners.filter((each) => each !== listener);
  }

  throwIfAborted(): void {
    if (this.aborted) throw this.reason;
  }

  /** Dispatches the event once; only the controller calls it. */
  fire(reason: unknown): void {
    if (this.aborted) return;
    this.aborted = true;
    this.reason = reason;
    for (const listener of this.#listeners.splice(0)) listener();
  }
}

export class SimAbortController {
  readonly signal = new SimAbortSignal();

  abort(reason: unknown = new DOMException('The operation was aborted', 'AbortError')): void {
    this.signal.fire(reason);
  }
}

/** The global `AbortSignal` of an isolate, whose timeouts run on the isolate's own timers. */
export function abortSignals(setTimer: (run: () => void, ms: number) => unknown) {
  return {
    timeout(ms: number): SimAbortSignal {
      const signal = new SimAbortSignal();
      setTimer(() => signal.fire(new DOMException('The operation timed out', 'TimeoutError')), ms);
      return signal;
    },
  };
}
