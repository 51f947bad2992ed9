/** The batch tariff keeps its promise at every moment: half of the lowest price of the window, or less. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  BATCH_WINDOW_MS,
  halfPriceConflicts,
  isCacheDearer,
  newConflicts,
} from '../../worker/domain/half-price.ts';
import { chargeFor, type DatedPrice, priceAt } from '../../worker/domain/pricing.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const NOW = 100 * DAY_MS;

function row(id: string, change: Partial<DatedPrice> = {}): DatedPrice {
  const price = { cacheHitNanoUsd: 140, cacheMissNanoUsd: 550, outputNanoUsd: 2_190 };
  const daily = { dailyFromMinute: null, dailyToMinute: null };
  return { id, tariff: 'standard', fromMs: 0, toMs: null, ...daily, ...price, ...change };
}

const half = { cacheHitNanoUsd: 70, cacheMissNanoUsd: 275, outputNanoUsd: 1_095 };
const offPeak = row('off-peak', {
  ...{ dailyFromMinute: 990, dailyToMinute: 30 },
  ...{ cacheHitNanoUsd: 35, cacheMissNanoUsd: 135, outputNanoUsd: 550 },
});
const batch = (id: string, change: Partial<DatedPrice> = {}) =>
  row(id, { tariff: 'batch', ...half, ...change });

const pairs = (prices: readonly DatedPrice[], nowMs = NOW) =>
  halfPriceConflicts(prices, nowMs).map((each) => [each.batch.id, each.standard.id, each.kind]);

describe('the batch price', () => {
  it('is at most half of the standard price, and of the off-peak price', () => {
    expect(pairs([row('day'), batch('batch')])).toEqual([]);
    expect(pairs([row('day'), batch('batch', { outputNanoUsd: 1_096 })])).toEqual([
      ['batch', 'day', 'outputNanoUsd'],
    ]);
    expect(pairs([row('day'), offPeak, batch('batch')])).toEqual([['batch', 'off-peak', 'cacheHitNanoUsd']]);
    const low = { cacheHitNanoUsd: 17, cacheMissNanoUsd: 67, outputNanoUsd: 275 };
    expect(pairs([row('day'), offPeak, batch('batch', low)])).toEqual([]);
  });

  it('is measured by what is in force within a day of it', () => {
    const cheaper = (fromMs: number) => row('cheaper', { fromMs, outputNanoUsd: 1_000 });
    const until = batch('batch', { toMs: NOW + HOUR_MS });
    expect(pairs([row('day'), until, cheaper(NOW + HOUR_MS + BATCH_WINDOW_MS)])).toEqual([]);
    expect(pairs([row('day'), until, cheaper(NOW + HOUR_MS + BATCH_WINDOW_MS - 1)])).toEqual([
      ['batch', 'cheaper', 'outputNanoUsd'],
    ]);
    const was = row('was', { outputNanoUsd: 1_000, fromMs: 1, toMs: NOW - HOUR_MS });
    expect(pairs([row('day'), was, batch('batch')])).toEqual([['batch', 'was', 'outputNanoUsd']]);
    expect(pairs([row('day'), was, batch('batch')], NOW - HOUR_MS + BATCH_WINDOW_MS)).toEqual([]);
  });

  it('comes back into force when a later one ends', () => {
    const later = batch('later', { fromMs: NOW - DAY_MS, outputNanoUsd: 100 });
    const prices = [row('day', { outputNanoUsd: 400 }), batch('dear'), later];
    expect(pairs(prices, NOW)).toEqual([]);
    const ended = prices.map((each) => (each === later ? { ...later, toMs: NOW + DAY_MS } : each));
    expect(newConflicts(prices, ended, NOW)).toMatchObject([{ batch: { id: 'dear' } }]);
  });

  it('that was too dear before holds up no other change', () => {
    const before = [row('day'), offPeak, batch('batch')];
    expect(
      newConflicts(before, [...before, row('dearer', { fromMs: NOW + DAY_MS, outputNanoUsd: 3_000 })], NOW),
    ).toEqual([]);
  });

  it('costs no request more than half, at any two moments of a batch’s window', () => {
    const instant = fc.integer({ min: -72, max: 72 }).map((hours) => NOW + hours * HOUR_MS);
    const minute = fc.integer({ min: 0, max: 95 }).map((quarter) => quarter * 15);
    const prices = (min: number, max: number) =>
      fc.integer({ min, max }).map((nano) => ({
        ...{ cacheHitNanoUsd: nano, cacheMissNanoUsd: nano, outputNanoUsd: nano },
      }));
    const change = fc.record({
      isBatch: fc.boolean(),
      fromMs: instant,
      hours: fc.option(fc.integer({ min: 12, max: 96 })),
      window: fc.option(fc.tuple(minute, minute)),
      low: prices(7, 14),
      high: prices(16, 32),
    });
    const usages = fc.record({
      promptTokens: fc.integer({ min: 5, max: 50 }),
      cachedTokens: fc.integer({ min: 0, max: 5 }),
      completionTokens: fc.integer({ min: 0, max: 50 }),
      reasoningTokens: fc.constant(0),
    });
    const offset = fc.integer({ min: 0, max: 24 * 60 }).map((minutes) => minutes * 60_000);
    const anyMoments = fc.record({ createdMs: instant, run: offset, other: offset, usage: usages });
    let compared = 0;
    fc.assert(
      fc.property(
        fc.array(change, { minLength: 4, maxLength: 12 }),
        fc.array(anyMoments, { minLength: 20, maxLength: 20 }),
        (changes, moments) => {
          const accepted: DatedPrice[] = [];
          for (const [index, { isBatch, fromMs, hours, window, low, high }] of changes.entries()) {
            const [dailyFromMinute, dailyToMinute] = isBatch || window === null ? [null, null] : window;
            const toMs = hours === null ? null : fromMs + hours * HOUR_MS;
            const tariff = isBatch ? 'batch' : 'standard';
            const draft = {
              ...(isBatch ? low : high),
              id: `${index}`,
              tariff,
              fromMs,
              toMs,
              dailyFromMinute,
              dailyToMinute,
            } as const;
            if (newConflicts(accepted, [...accepted, draft], 0).length === 0) accepted.push(draft);
          }
          for (const { createdMs, run, other, usage } of moments) {
            const line = priceAt(accepted, 'batch', createdMs + run);
            const request = priceAt(accepted, 'standard', createdMs + other);
            if (line === null || request === null) continue;
            compared += 1;
            expect(2 * chargeFor(usage, line)).toBeLessThanOrEqual(chargeFor(usage, request));
          }
        },
      ),
      { numRuns: 500 },
    );
    expect(compared).toBeGreaterThan(100);
  });
});

it('a token from the cache never costs more than another', () => {
  expect(isCacheDearer({ cacheHitNanoUsd: 5, cacheMissNanoUsd: 5, outputNanoUsd: 1 })).toBe(false);
  expect(isCacheDearer({ cacheHitNanoUsd: 6, cacheMissNanoUsd: 5, outputNanoUsd: 1 })).toBe(true);
});
