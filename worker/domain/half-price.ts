/**
 * The promise of the batch tariff: a line never costs more than half of what the same request would cost at any moment at
 * which its batch may run, off-peak hours included. The catalogue takes no price that would break it, so admission need not
 * look: the price in force keeps it.
 */
import { dailySchedule, PRICE_KINDS, type PriceKind } from './price-change.ts';
import type { DatedPrice, Price, Tariff } from './pricing.ts';

/** A batch is answered within this time of its creation, as in OpenAI's API. */
export const BATCH_WINDOW_MS = 24 * 3_600_000;

/** A batch price that is above half of a standard price of the same model within a batch's window of it. */
export interface HalfPriceConflict {
  readonly batch: DatedPrice;
  readonly standard: DatedPrice;
  /** The first kind of token that costs too much. */
  readonly kind: PriceKind;
}

/** Every pair of a model's prices that would break the promise from now on. */
export function halfPriceConflicts(prices: readonly DatedPrice[], nowMs: number): HalfPriceConflict[] {
  const spans = spansOf(prices);
  const found = new Map<string, HalfPriceConflict>();
  for (const { fromMs, toMs, batch } of spans) {
    if (batch.length === 0 || toMs <= nowMs) continue;
    // A line of this span may belong to a batch that began a window before it, or one that ends a window after it.
    const firstMs = Math.max(fromMs, nowMs) - BATCH_WINDOW_MS;
    const near = spans.filter((each) => each.fromMs < toMs + BATCH_WINDOW_MS && each.toMs > firstMs);
    for (const conflict of near.flatMap(({ standard }) => conflictsOf(batch, standard)))
      found.set(`${conflict.batch.id} ${conflict.standard.id}`, conflict);
  }
  return [...found.values()];
}

/** The conflicts that a change brings about. Those that were there before it hold up no other change. */
export function newConflicts(
  before: readonly DatedPrice[],
  after: readonly DatedPrice[],
  nowMs: number,
): HalfPriceConflict[] {
  const nameOf = ({ batch, standard }: HalfPriceConflict) => `${batch.id} ${standard.id}`;
  const known = new Set(halfPriceConflicts(before, nowMs).map(nameOf));
  return halfPriceConflicts(after, nowMs).filter((conflict) => !known.has(nameOf(conflict)));
}

/** Whether a token from the cache would cost more than one that is computed, so that a cache hit would be a loss. */
export function isCacheDearer({ cacheHitNanoUsd, cacheMissNanoUsd }: Omit<Price, 'id'>): boolean {
  return cacheHitNanoUsd > cacheMissNanoUsd;
}

interface Span {
  readonly fromMs: number;
  readonly toMs: number;
  /** The prices in force at some time of each day of the span, by tariff. */
  readonly batch: readonly DatedPrice[];
  readonly standard: readonly DatedPrice[];
}

/** Time cut wherever a price begins or ends: within a span every day is like the others. */
function spansOf(prices: readonly DatedPrice[]): Span[] {
  const edges = [
    ...new Set(prices.flatMap(({ fromMs, toMs }) => (toMs === null ? [fromMs] : [fromMs, toMs]))),
  ];
  edges.sort((a, b) => a - b);
  const inForce = (tariff: Tariff, atMs: number) => [
    ...new Set(dailySchedule(prices, tariff, atMs).flatMap(({ price }) => price ?? [])),
  ];
  return edges.map((fromMs, index) => ({
    fromMs,
    toMs: edges[index + 1] ?? Number.POSITIVE_INFINITY,
    batch: inForce('batch', fromMs),
    standard: inForce('standard', fromMs),
  }));
}

function conflictsOf(batch: readonly DatedPrice[], standard: readonly DatedPrice[]): HalfPriceConflict[] {
  return batch.flatMap((one) =>
    standard.flatMap((other) => {
      const kind = PRICE_KINDS.find((each) => 2 * one[each] > other[each]);
      return kind === undefined ? [] : [{ batch: one, standard: other, kind }];
    }),
  );
}
