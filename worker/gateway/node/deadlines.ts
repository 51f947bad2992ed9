/**
 * The deadlines of a request on one timer: the runtime's cost as much as a token each, and an answer has hundreds of
 * deadlines that move on. The timer rings for whatever is due, and is started again only for what is due earlier.
 */
export class Deadlines {
  readonly #due = new Map<Deadline, { atMs: number; ring: () => void }>();
  #timer: { id: ReturnType<typeof setTimeout>; atMs: number } | null = null;

  /** One deadline among the others. */
  alarm(): Deadline {
    const alarm: Deadline = {
      set: (atMs, ring) => {
        this.#due.set(alarm, { atMs, ring });
        this.#startBy(atMs, Date.now());
      },
      clear: () => {
        this.#due.delete(alarm);
        if (this.#due.size === 0) this.#stop();
      },
    };
    return alarm;
  }

  #startBy(atMs: number, nowMs: number): void {
    if (this.#timer !== null && this.#timer.atMs <= atMs) return;
    this.#stop();
    const id = setTimeout(() => this.#ring(), Math.max(0, atMs - nowMs));
    this.#timer = { id, atMs };
  }

  #stop(): void {
    if (this.#timer) clearTimeout(this.#timer.id);
    this.#timer = null;
  }

  #ring(): void {
    // a clock that was set back makes nothing later
    const nowMs = Math.max(Date.now(), this.#timer!.atMs);
    this.#timer = null;
    for (const [alarm, { atMs, ring }] of [...this.#due]) {
      if (atMs > nowMs) continue;
      this.#due.delete(alarm);
      ring();
    }
    // those that rang may have set some anew
    const nextMs = Math.min(...[...this.#due.values()].map(({ atMs }) => atMs));
    if (this.#due.size > 0) this.#startBy(nextMs, nowMs);
  }
}

export interface Deadline {
  /** Instead of whatever was set before. Once it has rung it has to be set again. */
  set(dueMs: number, ring: () => void): void;
  clear(): void;
}
