/** Repeats an action at a fixed interval. A round that takes longer than the interval delays the next one; two never overlap. */
export class Repeat {
  readonly #act: () => Promise<void>;
  readonly #intervalMs: number;
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(act: () => Promise<void>, intervalMs: number) {
    this.#act = act;
    this.#intervalMs = intervalMs;
  }

  /** The first round is an interval away. */
  start(): void {
    this.#schedule(this.#intervalMs);
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  #schedule(delayMs: number): void {
    if (this.#stopped) return;
    this.#timer = setTimeout(() => void this.#round(), delayMs);
  }

  async #round(): Promise<void> {
    const startedMs = performance.now();
    await this.#act();
    this.#schedule(Math.max(0, this.#intervalMs - (performance.now() - startedMs)));
  }
}
