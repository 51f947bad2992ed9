import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { estimate, estimateAtListPrice, type Workload } from '../../worker/domain/estimate.ts';
import { chargeFor } from '../../worker/domain/pricing.ts';

const standard = { id: 's', cacheHitNanoUsd: 140, cacheMissNanoUsd: 550, outputNanoUsd: 2_190 };
const offPeak = { id: 'o', cacheHitNanoUsd: 35, cacheMissNanoUsd: 135, outputNanoUsd: 550 };
const batch = { id: 'b', cacheHitNanoUsd: 70, cacheMissNanoUsd: 275, outputNanoUsd: 1_095 };
const WORKLOAD: Workload = {
  requestsPerDay: 1_000,
  promptTokens: 2_000,
  cachedPercent: 50,
  outputTokens: 1_000,
  batchPercent: 0,
  offPeakPercent: 0,
};

describe('an estimate', () => {
  it('equals the charge of the same requests', () => {
    const usage = { promptTokens: 2_000, cachedTokens: 1_000, completionTokens: 1_000, reasoningTokens: 0 };
    const { totalNanoUsd, requests } = estimate(WORKLOAD, { standard, offPeak, batch });
    expect(requests).toBe(30_000);
    expect(totalNanoUsd).toBe(30_000n * BigInt(chargeFor(usage, standard)));
  });

  it('has parts that add up to all requests, and lines that add up to the total', () => {
    const percent = fc.integer({ min: 0, max: 100 });
    const anyWorkload = fc.record({
      requestsPerDay: fc.integer({ min: 0, max: 10_000_000 }),
      promptTokens: fc.integer({ min: 0, max: 200_000 }),
      cachedPercent: percent,
      outputTokens: fc.integer({ min: 0, max: 70_000 }),
      batchPercent: percent,
      offPeakPercent: percent,
    });
    fc.assert(
      fc.property(anyWorkload, (workload) => {
        const { parts, requests, totalNanoUsd } = estimate(workload, { standard, offPeak, batch });
        expect(parts.reduce((sum, part) => sum + part.requests, 0)).toBe(requests);
        const lines = parts.flatMap((part) => part.lines);
        for (const line of lines) expect(line.nanoUsd).toBe(line.tokens * BigInt(line.nanoUsdPerToken));
        expect(lines.reduce((sum, line) => sum + line.nanoUsd, 0n)).toBe(totalNanoUsd);
        // The total lies between everything off-peak and everything at the standard price.
        const at = (price: typeof standard) => estimateAtListPrice(workload, price);
        expect(totalNanoUsd <= at(standard) && totalNanoUsd >= at(offPeak)).toBe(true);
      }),
    );
  });

  it('charges as standard the parts without a price of their own', () => {
    const workload = { ...WORKLOAD, batchPercent: 100, offPeakPercent: 100 };
    const { parts } = estimate(workload, { standard, offPeak: null, batch: null });
    expect(parts.map(({ name }) => name)).toEqual(['standard']);
  });
});
