/** Measures how long after an outage conversations find their prefixes in a cache again. */
import { hitRate } from './measure.ts';
import type { Outage, ReplayResult, RequestOutcome } from './replay.ts';

export interface Recovery {
  /** Number of nodes that died. */
  readonly struck: number;
  /**
   * Time until the hit rate is 95 % of what the surviving nodes reach by themselves; null: not within the trace.
   */
  readonly recoveredAfterMs: number | null;
  /** Time in which the survivors compute as many prompt tokens as the lost caches held. */
  readonly refillMs: number;
  /** Requests that were served after more than one attempt. */
  readonly rescued: number;
  /** Requests that broke off after their first token, which cannot be retried. */
  readonly broken: number;
  /** Requests that were refused although they were retried. */
  readonly refused: number;
}

const ENOUGH = 0.95;
/** Over a shorter time hit rates are mostly noise. */
const WINDOW_MS = 120_000;
const STEP_MS = 10_000;

/** @param survivors the same replay on the nodes that did not die, from the beginning */
export function recovery(disturbed: ReplayResult, survivors: ReplayResult, { atMs }: Outage): Recovery {
  const { outcomes, lostTokens, nodesLost } = disturbed;
  const last = outcomes.at(-1)!.request.atMs;
  const computed = within(survivors.outcomes, atMs, last).reduce(
    (sum, { request, cachedTokens }) => sum + request.promptTokens - cachedTokens,
    0,
  );
  const count = (kind: RequestOutcome['end']) => outcomes.filter(({ end }) => end === kind).length;
  return {
    struck: nodesLost,
    recoveredAfterMs: recoveredAfterMs(outcomes, survivors.outcomes, atMs),
    refillMs: (lostTokens / computed) * (last - atMs),
    rescued: outcomes.filter(({ attempts, end }) => attempts > 1 && end === 'served').length,
    broken: count('broken'),
    refused: count('refused'),
  };
}

function recoveredAfterMs(
  disturbed: readonly RequestOutcome[],
  survivors: readonly RequestOutcome[],
  atMs: number,
): number | null {
  const endMs = disturbed.at(-1)!.request.atMs;
  for (let fromMs = atMs; fromMs + WINDOW_MS <= endMs; fromMs += STEP_MS) {
    const window = [fromMs, fromMs + WINDOW_MS] as const;
    if (hitRate(within(disturbed, ...window)) >= ENOUGH * hitRate(within(survivors, ...window))) {
      return fromMs - atMs;
    }
  }
  return null;
}

function within(outcomes: readonly RequestOutcome[], fromMs: number, toMs: number): RequestOutcome[] {
  return outcomes.filter(
    ({ request, ttftMs }) => ttftMs !== null && request.atMs >= fromMs && request.atMs < toMs,
  );
}
