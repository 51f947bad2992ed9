/** Figures of a replay. */
import type { ReplayResult, RequestOutcome } from './replay.ts';

/**
 * Goodput counts the answers that are at least this fast (DistServe's definition, with the bounds of later work on
 * routing).
 */
const GOOD_TTFT_MS = 2_000;
const GOOD_TOKEN_MS = 25;

export interface Figures {
  readonly requests: number;
  readonly served: number;
  readonly broken: number;
  /** Share of prompt tokens found in a cache, over the requests that got a first token. */
  readonly hitRate: number;
  /** Mean fullness of the fullest node ÷ mean fullness of all nodes. */
  readonly imbalance: number;
  /** Mean fullness of all nodes: the share of KV cache or slots that is occupied, queue included. */
  readonly fullness: number;
  readonly ttftP50Ms: number;
  readonly ttftP99Ms: number;
  /** Share of all requests within the bounds above. */
  readonly goodput: number;
  /** Attempts ÷ requests. */
  readonly amplification: number;
}

export function measure({ outcomes, fullness }: ReplayResult): Figures {
  const begun = outcomes.filter(({ ttftMs }) => ttftMs !== null);
  const ttfts = begun.map(({ ttftMs }) => ttftMs!).sort((a, b) => a - b);
  const mean = sum(fullness, (each) => each) / fullness.length;
  return {
    requests: outcomes.length,
    served: outcomes.filter(({ end }) => end === 'served').length,
    broken: outcomes.filter(({ end }) => end === 'broken').length,
    hitRate: hitRate(begun),
    imbalance: Math.max(...fullness) / mean,
    fullness: mean,
    ttftP50Ms: quantile(ttfts, 0.5),
    ttftP99Ms: quantile(ttfts, 0.99),
    goodput: outcomes.filter(isGood).length / outcomes.length,
    amplification: sum(outcomes, ({ attempts }) => attempts) / outcomes.length,
  };
}

export function hitRate(outcomes: readonly RequestOutcome[]): number {
  return (
    sum(outcomes, ({ cachedTokens }) => cachedTokens) / sum(outcomes, (each) => each.request.promptTokens)
  );
}

function isGood({ request, end, ttftMs, decodeMs }: RequestOutcome): boolean {
  return (
    end === 'served' && ttftMs! <= GOOD_TTFT_MS && decodeMs! <= GOOD_TOKEN_MS * (request.outputTokens - 1)
  );
}

function sum<T>(items: readonly T[], of: (item: T) => number): number {
  return items.reduce((total, item) => total + of(item), 0);
}

/** @param sorted ascending */
function quantile(sorted: readonly number[], q: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? Number.NaN;
}
