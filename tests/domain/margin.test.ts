import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  bucketOf,
  type CostedNode,
  figuresOf,
  NO_WORK,
  type Plan,
  planned,
  sumOf,
} from '../../worker/domain/margin.ts';
import { nanoUsd, usd } from '../../worker/domain/money.ts';

const HOUR = 3_600_000;
const NODE: CostedNode = {
  gpus: 16,
  capacity: 622,
  enrolledAtMs: 0,
  removedAtMs: null,
  costs: [{ fromMs: 0, hourNanoUsd: usd(32) }],
};
const WORK = {
  ...NO_WORK,
  requests: 3,
  completionTokens: 1_119_600,
  chargeNanoUsd: usd(3),
  grantedNanoUsd: usd(1),
};
const anHour = { fromMs: HOUR, toMs: 2 * HOUR };

describe('a bucket of a node', () => {
  it('is charges less granted credit less the cost of its hours', () => {
    const figures = figuresOf(bucketOf(NODE, anHour, WORK));
    expect(figures).toMatchObject({
      costNanoUsd: usd(32),
      marginNanoUsd: usd(-30),
      marginGpuHourNanoUsd: -1_875_000_000,
      reached: 311,
      idle: 0.5,
    });
    // $2 for 1,119,600 tokens: at $32 an hour sixteen times as many
    expect(figures.breakEven).toBeCloseTo(311 * 16, 6);
  });

  it('costs by the time that each price held, rounded once', () => {
    const costs = [
      { fromMs: HOUR + 20 * 60_000, hourNanoUsd: 20 },
      { fromMs: 0, hourNanoUsd: 10 },
    ];
    // 20 minutes at 10 and 40 minutes at 20: 16.67
    expect(bucketOf({ ...NODE, costs }, anHour, WORK).costNanoUsd).toBe(17);
  });

  it('has no margin where its cost is not known for the whole of it', () => {
    const late = bucketOf({ ...NODE, costs: [{ fromMs: HOUR + 1, hourNanoUsd: usd(32) }] }, anHour, WORK);
    expect(late).toMatchObject({ uncosted: 1, marginNanoUsd: 0, marginGpuMs: 0 });
    expect(figuresOf(late)).toMatchObject({ marginNanoUsd: null, marginGpuHourNanoUsd: null });
    const never = bucketOf({ ...NODE, costs: [] }, anHour, WORK);
    expect(figuresOf(never)).toMatchObject({ costNanoUsd: null, marginNanoUsd: null, breakEven: null });
  });

  it('counts only the time for which the node was there', () => {
    const brief = { ...NODE, enrolledAtMs: HOUR + HOUR / 4, removedAtMs: HOUR + HOUR / 2 };
    expect(bucketOf(brief, anHour, NO_WORK)).toMatchObject({
      enrolledMs: HOUR / 4,
      costNanoUsd: usd(8),
      marginGpuMs: 4 * HOUR,
      expectedMilliTokens: 622 * (HOUR / 4),
    });
    expect(bucketOf({ ...NODE, enrolledAtMs: 2 * HOUR }, anHour, NO_WORK).uncosted).toBe(0);
  });

  it('has no break-even where nothing was earned', () => {
    const free = { ...WORK, grantedNanoUsd: WORK.chargeNanoUsd };
    expect(figuresOf(bucketOf(NODE, anHour, free)).breakEven).toBeNull();
  });

  it('is never idler than idle, and busier than expected is not idle', () => {
    expect(figuresOf(bucketOf(NODE, anHour, NO_WORK)).idle).toBe(1);
    expect(figuresOf(bucketOf(NODE, anHour, { ...WORK, completionTokens: 9_000_000 })).idle).toBe(0);
  });

  it('adds up by node as by time', () => {
    const amount = fc.integer({ min: 0, max: 1_000_000_000 });
    fc.assert(
      fc.property(fc.array(fc.array(amount, { minLength: 3, maxLength: 3 }), { minLength: 1 }), (rows) => {
        const cells = rows.map((row) =>
          row.map((chargeNanoUsd) => bucketOf(NODE, anHour, { ...WORK, chargeNanoUsd })),
        );
        const byRow = sumOf(cells.map(sumOf));
        const byColumn = sumOf([0, 1, 2].map((at) => sumOf(cells.map((row) => row[at]!))));
        expect(byRow).toEqual(byColumn);
        expect(byRow.marginNanoUsd).toBe(byRow.chargeNanoUsd - byRow.grantedNanoUsd - byRow.costNanoUsd);
      }),
    );
  });
});

describe('a plan', () => {
  const R1 = { cacheHitNanoUsd: 140, cacheMissNanoUsd: 550, outputNanoUsd: 2_190 };
  const PLAN: Plan = {
    gpuHourNanoUsd: usd(2),
    gpus: 16,
    tokensPerSecond: 622,
    cachedPermille: 563,
    inputPerHundredOutput: 362,
    offPeakPermille: 0,
    prices: { peak: R1, offPeak: { cacheHitNanoUsd: 35, cacheMissNanoUsd: 135, outputNanoUsd: 550 } },
  };

  it('says revenue, cost and what is missing, to the nano-USD', () => {
    // 2,239,200 tokens × (2,190 + 3.62 × (0.563 × 140 + 0.437 × 550)) = 2,239,200 × 3,345.3954
    const hour = planned(PLAN);
    expect(hour.revenueNanoUsd).toBe(Math.round(22_392 * 334_539.54));
    expect(hour).toMatchObject({ costNanoUsd: usd(32), marginNanoUsd: hour.revenueNanoUsd - usd(32) });
    expect(hour.breakEven).toBe(2_658);
    expect(hour.utilisation).toBeCloseTo(2_657.1 / 622, 3);
    expect(hour.marginShare).toBeCloseTo(-3.272, 3);
  });

  it('is even at its break-even and not a token below', () => {
    const { breakEven } = planned(PLAN);
    expect(planned({ ...PLAN, tokensPerSecond: breakEven! }).marginNanoUsd).toBeGreaterThanOrEqual(0);
    expect(planned({ ...PLAN, tokensPerSecond: breakEven! - 1 }).marginNanoUsd).toBeLessThan(0);
  });

  it('mixes the two prices by the share of tokens', () => {
    const of = (offPeakPermille: number) => planned({ ...PLAN, offPeakPermille }).revenueNanoUsd;
    expect(Math.abs(of(500) - (of(0) + of(1_000)) / 2)).toBeLessThanOrEqual(1);
    expect(of(1_000)).toBe(
      planned({ ...PLAN, prices: { peak: PLAN.prices.offPeak, offPeak: R1 } }).revenueNanoUsd,
    );
  });

  it('has no break-even where nothing is charged, and no share of nothing', () => {
    const free = { cacheHitNanoUsd: 0, cacheMissNanoUsd: 0, outputNanoUsd: 0 };
    const hour = planned({ ...PLAN, prices: { peak: free, offPeak: free } });
    expect(hour).toMatchObject({
      revenueNanoUsd: nanoUsd(0),
      breakEven: null,
      utilisation: null,
      marginShare: null,
    });
    expect(planned({ ...PLAN, tokensPerSecond: 0 })).toMatchObject({ utilisation: null, marginShare: null });
  });
});
