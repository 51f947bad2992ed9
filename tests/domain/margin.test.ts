import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type CostedNode,
  evaluatePlan,
  marginFigures,
  marginOfBucket,
  NO_WORK,
  type Plan,
  sumMargins,
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
const HOUR_SPAN = { fromMs: HOUR, toMs: 2 * HOUR };

describe('a bucket of a node', () => {
  it('has a margin of charges less granted credit less cost', () => {
    const figures = marginFigures(marginOfBucket(NODE, HOUR_SPAN, WORK));
    expect(figures).toMatchObject({
      costNanoUsd: usd(32),
      marginNanoUsd: usd(-30),
      marginGpuHourNanoUsd: -1_875_000_000,
      reached: 311,
      idle: 0.5,
    });
    // The node earned $2 with 1,119,600 tokens, so $32 an hour takes sixteen times as many.
    expect(figures.breakEven).toBeCloseTo(311 * 16, 6);
  });

  it('weighs each dated cost by its time, and rounds once', () => {
    const costs = [
      { fromMs: HOUR + 20 * 60_000, hourNanoUsd: 20 },
      { fromMs: 0, hourNanoUsd: 10 },
    ];
    // 20 minutes at 10 and 40 minutes at 20 are 16.67.
    expect(marginOfBucket({ ...NODE, costs }, HOUR_SPAN, WORK).costNanoUsd).toBe(17);
  });

  it('has no margin unless its cost is known for all of its time', () => {
    const late = marginOfBucket(
      { ...NODE, costs: [{ fromMs: HOUR + 1, hourNanoUsd: usd(32) }] },
      HOUR_SPAN,
      WORK,
    );
    expect(late).toMatchObject({ uncosted: 1, marginNanoUsd: 0, marginGpuMs: 0 });
    expect(marginFigures(late)).toMatchObject({ marginNanoUsd: null, marginGpuHourNanoUsd: null });
    const never = marginOfBucket({ ...NODE, costs: [] }, HOUR_SPAN, WORK);
    expect(marginFigures(never)).toMatchObject({ costNanoUsd: null, marginNanoUsd: null, breakEven: null });
  });

  it('counts only the time that the node was enrolled', () => {
    const brief = { ...NODE, enrolledAtMs: HOUR + HOUR / 4, removedAtMs: HOUR + HOUR / 2 };
    expect(marginOfBucket(brief, HOUR_SPAN, NO_WORK)).toMatchObject({
      enrolledMs: HOUR / 4,
      costNanoUsd: usd(8),
      marginGpuMs: 4 * HOUR,
      expectedMilliTokens: 622 * (HOUR / 4),
    });
    expect(marginOfBucket({ ...NODE, enrolledAtMs: 2 * HOUR }, HOUR_SPAN, NO_WORK).uncosted).toBe(0);
  });

  it('has no break-even when nothing was earned', () => {
    const free = { ...WORK, grantedNanoUsd: WORK.chargeNanoUsd };
    expect(marginFigures(marginOfBucket(NODE, HOUR_SPAN, free)).breakEven).toBeNull();
  });

  it('has an idle fraction between 0 and 1', () => {
    expect(marginFigures(marginOfBucket(NODE, HOUR_SPAN, NO_WORK)).idle).toBe(1);
    expect(
      marginFigures(marginOfBucket(NODE, HOUR_SPAN, { ...WORK, completionTokens: 9_000_000 })).idle,
    ).toBe(0);
  });

  it('sums to the same by node and by time', () => {
    const amount = fc.integer({ min: 0, max: 1_000_000_000 });
    fc.assert(
      fc.property(fc.array(fc.array(amount, { minLength: 3, maxLength: 3 }), { minLength: 1 }), (rows) => {
        const cells = rows.map((row) =>
          row.map((chargeNanoUsd) => marginOfBucket(NODE, HOUR_SPAN, { ...WORK, chargeNanoUsd })),
        );
        const byRow = sumMargins(cells.map(sumMargins));
        const byColumn = sumMargins([0, 1, 2].map((at) => sumMargins(cells.map((row) => row[at]!))));
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

  it('computes revenue, cost and margin to the nano-USD', () => {
    // 2,239,200 tokens × (2,190 + 3.62 × (0.563 × 140 + 0.437 × 550)) = 2,239,200 × 3,345.3954
    const hour = evaluatePlan(PLAN);
    expect(hour.revenueNanoUsd).toBe(Math.round(22_392 * 334_539.54));
    expect(hour).toMatchObject({ costNanoUsd: usd(32), marginNanoUsd: hour.revenueNanoUsd - usd(32) });
    expect(hour.breakEven).toBe(2_658);
    expect(hour.utilisation).toBeCloseTo(2_657.1 / 622, 3);
    expect(hour.marginShare).toBeCloseTo(-3.272, 3);
  });

  it('has no loss at its break-even, and a loss one token below', () => {
    const { breakEven } = evaluatePlan(PLAN);
    expect(evaluatePlan({ ...PLAN, tokensPerSecond: breakEven! }).marginNanoUsd).toBeGreaterThanOrEqual(0);
    expect(evaluatePlan({ ...PLAN, tokensPerSecond: breakEven! - 1 }).marginNanoUsd).toBeLessThan(0);
  });

  it('weighs the two prices by the fraction of tokens', () => {
    const revenueAt = (offPeakPermille: number) => evaluatePlan({ ...PLAN, offPeakPermille }).revenueNanoUsd;
    expect(Math.abs(revenueAt(500) - (revenueAt(0) + revenueAt(1_000)) / 2)).toBeLessThanOrEqual(1);
    expect(revenueAt(1_000)).toBe(
      evaluatePlan({ ...PLAN, prices: { peak: PLAN.prices.offPeak, offPeak: R1 } }).revenueNanoUsd,
    );
  });

  it('has no break-even when nothing is charged, and no ratios without revenue or tokens', () => {
    const free = { cacheHitNanoUsd: 0, cacheMissNanoUsd: 0, outputNanoUsd: 0 };
    const hour = evaluatePlan({ ...PLAN, prices: { peak: free, offPeak: free } });
    expect(hour).toMatchObject({
      revenueNanoUsd: nanoUsd(0),
      breakEven: null,
      utilisation: null,
      marginShare: null,
    });
    expect(evaluatePlan({ ...PLAN, tokensPerSecond: 0 })).toMatchObject({
      utilisation: null,
      marginShare: null,
    });
  });
});
