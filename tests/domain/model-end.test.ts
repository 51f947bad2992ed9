import { describe, expect, it } from 'vitest';
import {
  announceFault,
  chargedFor,
  costAt,
  END_NOTICE_DAYS,
  hasEnded,
  type ModelEnd,
  onSale,
  stageDue,
  withStandingSuccessor,
} from '../../worker/domain/model-end.ts';
import type { DatedPrice } from '../../worker/domain/pricing.ts';

type Sold = ModelEnd & { readonly prices: readonly DatedPrice[] };

const DAY_MS = 86_400_000;
const NOW = Date.UTC(2026, 11, 1, 12);
const inDays = (days: number) => NOW + days * DAY_MS;

const model = (id: string, endsAtMs: number | null = null): Sold => ({
  ...{ id, endsAtMs, successorId: null },
  endAnnouncedAtMs: endsAtMs && NOW,
  prices: [{ fromMs: NOW } as DatedPrice],
});

describe('an end that is announced', () => {
  const fault = (old: Sold, endsAtMs: number, successorId: string | null = null, others: Sold[] = []) =>
    announceFault(old, { endsAtMs, successorId }, { models: [old, ...others], nowMs: NOW });

  it('lies at least the promised notice ahead, to the millisecond', () => {
    expect(fault(model('a'), inDays(END_NOTICE_DAYS) - 1)).toBe('end_too_soon');
    expect(fault(model('a'), inDays(END_NOTICE_DAYS))).toBeNull();
    expect(fault(model('a'), NOW - 1)).toBe('end_too_soon');
  });

  it('may be moved later at any time, and never forward', () => {
    const ending = model('a', inDays(5));
    expect(fault(ending, inDays(6))).toBeNull();
    expect(fault(ending, inDays(5))).toBeNull();
    expect(fault(ending, inDays(5) - 1)).toBe('end_moved_forward');
    expect(fault(model('a', inDays(300)), inDays(299))).toBe('end_moved_forward');
  });

  it('is final once it has come', () => {
    expect(fault(model('a', NOW), inDays(500))).toBe('model_ended');
    expect(fault(model('a', NOW + 1), inDays(500))).toBeNull();
  });

  it('names as successor only another model that has a price and outlives it', () => {
    const end = inDays(90);
    expect(fault(model('a'), end, 'b')).toBe('successor_unknown');
    expect(fault(model('a'), end, 'b', [{ ...model('b'), prices: [] }])).toBe('successor_unknown');
    expect(fault(model('a'), end, 'a')).toBe('successor_ends_first');
    expect(fault(model('a'), end, 'b', [model('b', end)])).toBe('successor_ends_first');
    expect(fault(model('a'), end, 'b', [model('b', end + 1)])).toBeNull();
    expect(fault(model('a'), end, 'b', [model('b')])).toBeNull();
  });
});

describe('the successor that customers are sent to', () => {
  const named = (id: string, endsAtMs: number | null, successorId: string | null) => ({
    ...model(id, endsAtMs),
    successorId,
  });
  const successorOf = (old: Sold, others: Sold[]) =>
    withStandingSuccessor(old, [old, ...others], NOW).successorId;

  it('is the one that was named, while that outlives the model', () => {
    expect(successorOf(named('a', inDays(9), 'b'), [model('b')])).toBe('b');
    expect(successorOf(named('a', inDays(9), 'b'), [model('b', inDays(10))])).toBe('b');
    expect(successorOf(named('a', inDays(-9), 'b'), [model('b', inDays(1))])).toBe('b');
  });

  it('is that one’s own successor where its end has come, or comes first', () => {
    const c = model('c');
    expect(successorOf(named('a', inDays(-9), 'b'), [named('b', NOW, 'c'), c])).toBe('c');
    expect(successorOf(named('a', inDays(90), 'b'), [named('b', inDays(70), 'c'), c])).toBe('c');
  });

  it('is none where the last one has ended, too, or each names the other', () => {
    expect(successorOf(named('a', inDays(-9), 'b'), [named('b', NOW, null)])).toBeNull();
    expect(successorOf(named('a', inDays(90), 'b'), [named('b', inDays(70), 'a')])).toBeNull();
    expect(successorOf(named('a', inDays(-9), 'gone'), [])).toBeNull();
  });
});

it('a model is on sale from its first price until its end, which is exclusive', () => {
  const ending = model('a', NOW);
  expect([hasEnded(ending, NOW - 1), hasEnded(ending, NOW)]).toEqual([false, true]);
  const sold = { prices: [{ fromMs: NOW } as DatedPrice] };
  const unsold = { prices: [{ fromMs: NOW + 1 } as DatedPrice] };
  const models = [
    { ...ending, ...sold },
    { ...model('b'), ...sold },
    { ...model('c'), ...unsold },
    { ...model('d'), prices: [] },
  ];
  expect(onSale(models, NOW).map(({ id }) => id)).toEqual(['b']);
});

it.each([
  [61, 'announced'],
  [30, 'days_30'],
  [8, 'days_30'],
  [7, 'days_7'],
  [2, 'days_7'],
  [1, 'days_1'],
  [0, 'ended'],
  [-400, 'ended'],
])('%i days before the end, the notice that is due is %s', (days, stage) => {
  expect(stageDue(model('a', inDays(days)), NOW)).toBe(stage);
});

it('no notice is due without an end', () => {
  expect(stageDue(model('a'), NOW)).toBeNull();
});

describe('a week at the successor’s prices', () => {
  const price = (id: string, change: Partial<DatedPrice> = {}): DatedPrice => ({
    id,
    tariff: 'standard',
    fromMs: 0,
    toMs: null,
    dailyFromMinute: null,
    dailyToMinute: null,
    cacheHitNanoUsd: 1,
    cacheMissNanoUsd: 10,
    outputNanoUsd: 100,
    ...change,
  });
  const hour = (hourMs: number) => ({
    hourMs,
    cachedTokens: 5,
    uncachedTokens: 3,
    outputTokens: 2,
    chargeNanoUsd: 7,
  });

  it('is tokens times price, each hour at the price of its beginning', () => {
    const night = price('night', { dailyFromMinute: 0, dailyToMinute: 60, outputNanoUsd: 50 });
    const batch = price('batch', { tariff: 'batch', outputNanoUsd: 1 });
    const midnight = Date.UTC(2026, 11, 1);
    const hours = [hour(midnight), hour(midnight + 3_600_000)];
    expect(costAt([price('day'), night, batch], hours)).toBe(5 + 30 + 100 + 5 + 30 + 200);
    expect(chargedFor(hours)).toBe(14);
  });

  it('counts hours before the successor’s first price at that price, as at their time of day', () => {
    const day = price('day', { fromMs: NOW });
    const night = price('night', { fromMs: NOW, dailyFromMinute: 0, dailyToMinute: 60, outputNanoUsd: 50 });
    expect(costAt([day], [hour(NOW - 1)])).toBe(5 + 30 + 200);
    const midnight = Date.UTC(2026, 11, 1) - 3 * DAY_MS;
    expect(costAt([day, night], [hour(midnight)])).toBe(5 + 30 + 100);
  });

  it('is unknown where the successor had no price', () => {
    expect(costAt([price('over', { toMs: NOW - 5 })], [hour(NOW - 1)])).toBeNull();
    expect(costAt([price('batch', { tariff: 'batch' })], [hour(NOW - 1)])).toBeNull();
    expect(costAt([], [])).toBe(0);
  });
});
