/** The bound on a run's time. What is measured is measured to its end; what has not begun by then is left out and named. */
export class TimeLimit {
  readonly #endMs: number;
  readonly #startedMs = performance.now();
  readonly #say: (line: string) => void;

  constructor(minutes: number, say: (line: string) => void) {
    this.#endMs = this.#startedMs + minutes * 60_000;
    this.#say = say;
  }

  /** False, and says so, when the time is over. @param what is about to be measured */
  allows(what: string): boolean {
    const minutes = Math.floor((performance.now() - this.#startedMs) / 60_000);
    const isOver = performance.now() > this.#endMs;
    this.#say(isOver ? `${what}: left out, ${minutes} minutes are over` : `[${minutes} min] ${what} …`);
    return !isOver;
  }
}
