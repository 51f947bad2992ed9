import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { toPublicUsage } from '../../gpu-pool/answers/public-usage.ts';
import { chargeLegs } from '../../worker/domain/ledger.ts';
import { formatUsd, nanoUsd, toUsdNumber, usd } from '../../worker/domain/money.ts';
import { chargeFor, type DatedPrice, priceAt } from '../../worker/domain/pricing.ts';
import { isSound, toNodeUsage } from '../../worker/domain/usage.ts';

describe('money', () => {
  it.each([
    [0, '0.00'],
    [1, '0.000000001'],
    [1_234, '0.000001234'],
    [2_190_000_000, '2.19'],
    [5_000_000_000, '5.00'],
    [-500_000_000, '-0.50'],
    [Number.MAX_SAFE_INTEGER, '9007199.254740991'],
  ])('writes %d nano-USD as %s', (amount, text) => {
    expect(formatUsd(nanoUsd(amount))).toBe(text);
  });

  it('is in JSON a number whose digits are exactly the amount, below a million dollars', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 1e15 }), (amount) => {
        const [digits = '', exponent = '0'] = JSON.stringify(toUsdNumber(nanoUsd(amount))).split('e');
        const [whole = '', fraction = ''] = digits.split('.');
        const places = 9 + Number(exponent) - fraction.length;
        expect(BigInt(whole + fraction) * 10n ** BigInt(places)).toBe(BigInt(amount));
      }),
      { numRuns: 2_000, examples: [[1], [120], [1e15], [999_999_999_999_999]] },
    );
  });

  it('loses nothing when formatted', () => {
    fc.assert(
      fc.property(fc.maxSafeInteger(), (amount) => {
        const [whole, fraction = ''] = formatUsd(nanoUsd(amount)).replace('-', '').split('.');
        expect(BigInt(whole + fraction.padEnd(9, '0'))).toBe(BigInt(Math.abs(amount)));
      }),
    );
  });

  it.each([0.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53])('refuses %d', (value) => {
    expect(() => nanoUsd(value)).toThrow(RangeError);
  });
});

const r1 = (over: Partial<DatedPrice>): DatedPrice => ({
  tariff: 'standard',
  id: 'r1/standard/1',
  fromMs: Date.parse('2025-01-20'),
  toMs: null,
  dailyFromMinute: null,
  dailyToMinute: null,
  cacheHitNanoUsd: 140,
  cacheMissNanoUsd: 550,
  outputNanoUsd: 2_190,
  ...over,
});

describe('prices', () => {
  const prices = [
    r1({}),
    r1({ id: 'r1/off-peak/1', dailyFromMinute: 990, dailyToMinute: 30, fromMs: Date.parse('2025-02-26') }),
    r1({ id: 'r1/standard/2', fromMs: Date.parse('2027-01-01') }),
    r1({ id: 'promotion', fromMs: Date.parse('2026-05-01'), toMs: Date.parse('2026-06-01') }),
  ];

  it.each([
    ['2025-01-19T23:59:59Z', undefined],
    ['2025-01-20T00:00:00Z', 'r1/standard/1'],
    ['2025-02-25T17:00:00Z', 'r1/standard/1'],
    ['2025-02-26T16:29:59.999Z', 'r1/standard/1'],
    ['2025-02-26T16:30:00Z', 'r1/off-peak/1'],
    ['2025-02-27T00:29:59.999Z', 'r1/off-peak/1'],
    ['2025-02-27T00:30:00Z', 'r1/standard/1'],
    ['2026-05-10T12:00:00Z', 'promotion'],
    ['2026-06-01T12:00:00Z', 'r1/standard/1'],
    ['2027-01-01T12:00:00Z', 'r1/standard/2'],
  ])('at %s is %s', (at, id) => {
    expect(priceAt(prices, 'standard', Date.parse(at))?.id).toBe(id);
  });

  it('charges cached, uncached and output tokens each at its own price', () => {
    const usage = { promptTokens: 100, cachedTokens: 40, completionTokens: 30, reasoningTokens: 20 };
    expect(chargeFor(usage, r1({}))).toBe(40 * 140 + 60 * 550 + 30 * 2_190);
  });
});

describe('usage', () => {
  const usage = { promptTokens: 10, cachedTokens: 4, completionTokens: 6, reasoningTokens: 2 };

  it('has the field names of OpenAI and of DeepSeek', () => {
    expect(toPublicUsage(toNodeUsage(usage), nanoUsd(1_000))).toEqual({
      prompt_tokens: 10,
      completion_tokens: 6,
      total_tokens: 16,
      prompt_cache_hit_tokens: 4,
      prompt_cache_miss_tokens: 6,
      prompt_tokens_details: { cached_tokens: 4 },
      completion_tokens_details: { reasoning_tokens: 2 },
      cost: 0.000001,
      cost_nano_usd: 1_000,
    });
  });

  it.each([
    [{ cachedTokens: 11 }, false],
    [{ reasoningTokens: 7 }, false],
    [{ promptTokens: -1, cachedTokens: -1 }, false],
    [{ completionTokens: 6.5 }, false],
    [{ completionTokens: Number.POSITIVE_INFINITY }, false],
    [{}, true],
  ])('with %j is sound: %s', (over, sound) => {
    expect(isSound({ ...usage, ...over })).toBe(sound);
  });
});

describe('a charge', () => {
  it.each([
    [100, 50, 30, -30, 0],
    [100, 50, 100, -100, 0],
    [100, 50, 130, -100, -30],
    [0, 50, 50, 0, -50],
  ])('of granted %d and paid %d takes %d as %d and %d', (granted, paid, charge, fromGranted, fromPaid) => {
    expect(
      chargeLegs({ grantedNanoUsd: nanoUsd(granted), paidNanoUsd: nanoUsd(paid) }, nanoUsd(charge)),
    ).toEqual({
      grantedNanoUsd: fromGranted,
      paidNanoUsd: fromPaid,
    });
  });
});

it('counts whole dollars exactly', () => {
  expect(usd(5)).toBe(5_000_000_000);
});

describe('the price in force', () => {
  const minute = fc.integer({ min: 0, max: 1_439 });
  const anyPrice = fc.record({
    tariff: fc.constantFrom('standard' as const, 'batch' as const),
    fromMs: fc.integer({ min: 0, max: 20 }).map((days) => days * 86_400_000),
    lastsDays: fc.option(fc.integer({ min: 1, max: 10 })),
    window: fc.option(fc.tuple(minute, minute)),
  });

  /** Whether a window contains a minute, by walking over its minutes one by one. */
  function covers([from, to]: readonly [number, number], at: number): boolean {
    for (let each = from; each !== to; each = (each + 1) % 1_440) if (each === at) return true;
    return false;
  }

  it('is the one that a scan of all rows finds, and a daily window wins over an all-day row', () => {
    fc.assert(
      fc.property(fc.array(anyPrice, { maxLength: 8 }), fc.nat(40 * 86_400), (specs, second) => {
        const atMs = second * 1_000;
        const prices = specs.map(({ tariff, fromMs, lastsDays, window }, i) =>
          r1({
            id: `p${i}`,
            tariff,
            fromMs: fromMs + i,
            toMs: lastsDays === null ? null : fromMs + lastsDays * 86_400_000,
            dailyFromMinute: window?.[0] ?? null,
            dailyToMinute: window?.[1] ?? null,
          }),
        );
        for (const tariff of ['standard', 'batch'] as const) {
          const found = priceAt(prices, tariff, atMs);
          const fitting = prices.filter(
            (each, i) =>
              each.tariff === tariff &&
              each.fromMs <= atMs &&
              atMs < (each.toMs ?? Number.POSITIVE_INFINITY) &&
              (specs[i]!.window === null || covers(specs[i]!.window!, Math.floor(atMs / 60_000) % 1_440)),
          );
          const windows = fitting.filter(({ dailyFromMinute }) => dailyFromMinute !== null);
          const last = (windows.length > 0 ? windows : fitting).reduce<DatedPrice | null>(
            (best, each) => (best && best.fromMs > each.fromMs ? best : each),
            null,
          );
          expect(found?.id).toBe(last?.id);
        }
      }),
      { numRuns: 500 },
    );
  });

  it('makes a charge without any rounding', () => {
    const count = fc.integer({ min: 0, max: 131_072 });
    const each = fc.integer({ min: 0, max: 100_000 });
    fc.assert(
      fc.property(
        count,
        count,
        count,
        each,
        each,
        each,
        (cached, uncached, completion, hit, miss, output) => {
          const usage = {
            promptTokens: cached + uncached,
            cachedTokens: cached,
            completionTokens: completion,
            reasoningTokens: 0,
          };
          const price = r1({ cacheHitNanoUsd: hit, cacheMissNanoUsd: miss, outputNanoUsd: output });
          const exact =
            BigInt(cached) * BigInt(hit) +
            BigInt(uncached) * BigInt(miss) +
            BigInt(completion) * BigInt(output);
          expect(BigInt(chargeFor(usage, price))).toBe(exact);
        },
      ),
    );
  });
});
