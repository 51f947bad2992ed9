/**
 * All deadlines of a request on one timer. A runtime timer costs as much as a token of the answer, and an answer moves
 * its deadlines on hundreds of times. When the timer fires, every due deadline is called; it is restarted only for a
 * deadline that is earlier than the one it was set for.
 */
export class Deadlines {
  readonly #pending = new Map<Deadline, { dueMs: number; onDue: () => void }>();
  #timer: { id: ReturnType<typeof setTimeout>; dueMs: number } | null = null;

  /** Creates a deadline, which is not set yet. */
  newDeadline(): Deadline {
    const deadline: Deadline = {
      set: (dueMs, onDue) => {
        this.#pending.set(deadline, { dueMs, onDue });
        this.#startTimer(dueMs, Date.now());
      },
      clear: () => {
        this.#pending.delete(deadline);
        if (this.#pending.size === 0) this.#stopTimer();
      },
    };
    return deadline;
  }

  /** Makes the timer fire at `dueMs` or earlier. */
  #startTimer(dueMs: number, nowMs: number): void {
    if (this.#timer !== null && this.#timer.dueMs <= dueMs) return;
    this.#stopTimer();
    const id = setTimeout(() => this.#fire(), Math.max(0, dueMs - nowMs));
    this.#timer = { id, dueMs };
  }

  #stopTimer(): void {
    if (this.#timer) clearTimeout(this.#timer.id);
    this.#timer = null;
  }

  #fire(): void {
    // a clock that was set back must not postpone what is due
    const nowMs = Math.max(Date.now(), this.#timer!.dueMs);
    this.#timer = null;
    for (const [deadline, { dueMs, onDue }] of [...this.#pending]) {
      if (dueMs > nowMs) continue;
      this.#pending.delete(deadline);
      onDue();
    }
    // the callbacks may have set deadlines again
    const nextMs = Math.min(...[...this.#pending.values()].map(({ dueMs }) => dueMs));
    if (this.#pending.size > 0) this.#startTimer(nextMs, nowMs);
  }
}

export interface Deadline {
  /** Replaces what was set before. A deadline fires once and must then be set again. */
  set(dueMs: number, onDue: () => void): void;
  clear(): void;
}
