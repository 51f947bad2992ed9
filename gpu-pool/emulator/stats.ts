/** Running totals of the engine, for `/v1/loads` and `/metrics`. */

/** Throughput is measured over this many steps (`--decode-log-interval`). */
const WINDOW_STEPS = 40;

/** Upper bounds of the two latency histograms, in seconds. */
const TTFT_BUCKETS = [0.1, 0.2, 0.4, 0.6, 0.8, 1, 2, 4, 6, 8, 10, 20, 40, 60, 80, 100];
const ITL_BUCKETS = [0.002, 0.004, 0.006, 0.01, 0.015, 0.02, 0.03, 0.04, 0.06, 0.08, 0.1, 0.2, 0.4, 1, 2, 4];

export class Histogram {
  count = 0;
  sumSeconds = 0;
  readonly bounds: readonly number[];
  readonly below: number[];

  constructor(bounds: readonly number[]) {
    this.bounds = bounds;
    this.below = bounds.map(() => 0);
  }

  observe(seconds: number): void {
    this.count += 1;
    this.sumSeconds += seconds;
    for (const [index, bound] of this.bounds.entries()) if (seconds <= bound) this.below[index]! += 1;
  }
}

export class EngineStats {
  promptTokens = 0;
  cachedTokens = 0;
  generationTokens = 0;
  finishedRequests = 0;
  abortedRequests = 0;
  readonly timeToFirstToken = new Histogram(TTFT_BUCKETS);
  readonly interTokenLatency = new Histogram(ITL_BUCKETS);
  isIdle = true;
  #window: Array<{ atMs: number; tokens: number }> = [];

  admitted({ promptTokens, cachedTokens }: { promptTokens: number; cachedTokens: number }): void {
    this.promptTokens += promptTokens;
    this.cachedTokens += cachedTokens;
  }

  token({ sinceMs, first }: { sinceMs: number; first: boolean }): void {
    (first ? this.timeToFirstToken : this.interTokenLatency).observe(sinceMs / 1_000);
  }

  step({ tokens, nowMs }: { tokens: number; nowMs: number }): void {
    this.generationTokens += tokens;
    this.#window.push({ atMs: nowMs, tokens });
    if (this.#window.length > WINDOW_STEPS) this.#window.shift();
  }

  finished(): void {
    this.finishedRequests += 1;
  }

  busy(): void {
    this.isIdle = false;
  }

  idle(): void {
    this.isIdle = true;
    this.#window = [];
  }

  /** Output tokens per second of engine time over the last steps; 0 when idle. */
  get generationThroughput(): number {
    const [first, ...rest] = this.#window;
    const last = rest.at(-1);
    if (!first || !last || last.atMs <= first.atMs) return 0;
    return (rest.reduce((sum, step) => sum + step.tokens, 0) * 1_000) / (last.atMs - first.atMs);
  }

  /** Share of prompt tokens found in the prefix cache since the start, 0 to 1. */
  get cacheHitRate(): number {
    return this.promptTokens === 0 ? 0 : this.cachedTokens / this.promptTokens;
  }
}
