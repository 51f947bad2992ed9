/**
 * The places in the engine's waiting queue, as this agent fills them. SGLang refuses what does not fit its queue at the
 * moment it arrives, although it could run it at once, so a burst is held back here until those before it have begun.
 */

/** A request with its choices, each of which takes a place. */
export interface Queued {
  sequences: number;
  background: boolean;
}

interface Held extends Queued {
  limit: number;
  admit: () => void;
}

export class EngineQueue {
  /** Sequences that were sent to the engine and have no first token yet. */
  readonly #waiting = { interactive: 0, background: 0 };
  /** Interactive requests first, then by arrival. */
  readonly #held: Held[] = [];

  /** Lets a request go that need not wait; `leave` must then be called for it. @returns whether it may go to the engine */
  enterAtOnce(request: Queued, { limit }: { limit: number }): boolean {
    if (this.#held.length > 0 || !this.#fits(request, limit)) return false;
    this.#waiting[request.background ? 'background' : 'interactive'] += request.sequences;
    return true;
  }

  /**
   * Waits until the engine's queue has room. Where it returns true, `leave` must be called once the request has begun or
   * ended.
   * @param limit places in the engine's queue; a request with more choices gets an empty queue
   * @param signal ends the wait
   * @returns whether the request may go to the engine
   */
  enter(request: Queued, { limit, signal }: { limit: number; signal: AbortSignal }): Promise<boolean> {
    if (signal.aborted) return Promise.resolve(false);
    return new Promise((resolve) => {
      const held: Held = {
        ...request,
        limit,
        admit: () => {
          signal.removeEventListener('abort', giveUp);
          resolve(true);
        },
      };
      const giveUp = () => {
        this.#held.splice(this.#held.indexOf(held), 1);
        resolve(false);
        this.#admit();
      };
      signal.addEventListener('abort', giveUp, { once: true });
      const at = held.background ? -1 : this.#held.findIndex(({ background }) => background);
      this.#held.splice(at === -1 ? this.#held.length : at, 0, held);
      this.#admit();
    });
  }

  /** Gives back the places of a request. */
  leave({ sequences, background }: Queued): void {
    this.#waiting[background ? 'background' : 'interactive'] -= sequences;
    this.#admit();
  }

  /** Lets the first ones go that fit; one that does not fit is not overtaken. */
  #admit(): void {
    for (;;) {
      const next = this.#held[0];
      if (next === undefined || !this.#fits(next, next.limit)) return;
      this.#held.shift();
      this.#waiting[next.background ? 'background' : 'interactive'] += next.sequences;
      next.admit();
    }
  }

  /** The engine throws out waiting background requests for interactive ones, so these do not count against those. */
  #fits({ sequences, background }: Queued, limit: number): boolean {
    const before = this.#waiting.interactive + (background ? this.#waiting.background : 0);
    return before === 0 || before + sequences <= limit;
  }
}
