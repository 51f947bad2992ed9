import { describe, expect, it } from 'vitest';
import { compareKind, comparePrices, shownReferences } from '../../worker/domain/price-comparison.ts';

const price = (cacheHitNanoUsd: number, cacheMissNanoUsd: number, outputNanoUsd: number) => ({
  cacheHitNanoUsd,
  cacheMissNanoUsd,
  outputNanoUsd,
});
const R1 = price(140, 550, 2190);

describe('a comparison of prices', () => {
  it('claims the smallest saving where ours is lower on every kind', () => {
    const { verdict, share } = comparePrices(R1, price(7_500, 15_000, 60_000)) as {
      verdict: string;
      share: number;
    };
    expect(verdict).toBe('lower');
    expect(share).toBeCloseTo(1 - 550 / 15_000, 10);
  });

  it('says by how much ours is dearer, at most, where it is lower on no kind', () => {
    expect(comparePrices(R1, price(10, 100, 500))).toEqual({ verdict: 'higher', times: 14 });
    expect(comparePrices(R1, price(3, 150, 600))).toEqual({ verdict: 'higher', times: 140 / 3 });
    expect(comparePrices(R1, R1)).toEqual({ verdict: 'higher', times: 1 });
  });

  it('claims nothing where ours is lower on some kinds only', () => {
    expect(comparePrices(R1, price(22, 660, 1_980))).toEqual({ verdict: 'mixed' });
    expect(comparePrices(price(140, 660, 1_000), price(150, 660, 2_000))).toEqual({ verdict: 'mixed' });
  });

  it('treats a free kind as infinitely cheaper', () => {
    expect(compareKind(R1, price(0, 1, 1), 'cacheHitNanoUsd')).toEqual({
      ours: 'higher',
      times: Number.POSITIVE_INFINITY,
    });
    expect(compareKind(price(0, 1, 1), price(0, 1, 1), 'cacheHitNanoUsd')).toEqual({ ours: 'same' });
  });
});

it('customers are shown the prices in force, and of what is no longer sold the last one', () => {
  const row = (name: string, fromMs: number, toMs: number | null) => ({ name, fromMs, toMs });
  const rows = [
    row('retired', 0, 5),
    row('retired', 5, 10),
    row('replaced', 0, 10),
    row('replaced', 10, null),
    row('ends later', 0, 200),
    row('future', 101, null),
    row('never', 50, 50),
  ];
  expect(shownReferences(rows, 100)).toEqual([rows[1], rows[3], rows[4]]);
});
