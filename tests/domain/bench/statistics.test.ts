/** Statistics over rounds. */
import { describe, expect, it } from 'vitest';
import { withMean } from '../../bench/growth.ts';
import { median, overRounds, ratioOf } from '../../bench/statistics.ts';

describe('statistics', () => {
  it('take the middle, or the mean of the two in the middle', () => {
    expect(median([3, 1, 2])).toBe(2);
    expect(median([4, 1, 2, 3])).toBe(2.5);
  });

  it('know nothing of rounds of which one is unknown', () => {
    expect(overRounds([1, null, 3])).toBeNull();
    expect(overRounds([])).toBeNull();
  });

  it('divide round by round, and only where both have the same rounds', () => {
    expect(ratioOf(overRounds([2, 30, 6]), overRounds([1, 15, 2]))).toBe(2);
    expect(ratioOf(overRounds([2, 30]), overRounds([1, 10, 2]))).toBeNull();
    expect(ratioOf(overRounds([2]), overRounds([0]))).toBeNull();
  });
});

describe('a size that is measured before and after the others', () => {
  const line = (size: number, cpuMsPerRequest: number | null) => ({
    ...{ dimension: 'keys' as const, size, cpuMsPerRequest },
    ...{ idleShare: 0, p50Ms: 1, rowsWritten: 1, rowsRead: 1 },
  });

  it('has the mean of both', () => {
    const lines = withMean([line(1, 1), line(1_000, 9), line(1, 3)]);
    expect(lines.map(({ size, cpuMsPerRequest }) => [size, cpuMsPerRequest])).toEqual([
      [1, 2],
      [1_000, 9],
    ]);
  });

  it('stays as it is where time was over before the second', () => {
    const lines = [line(1, 1), line(1_000, 9)];
    expect(withMean(lines)).toEqual(lines);
  });
});
