/** The search for the number of streams that a system carries. */
import { describe, expect, it } from 'vitest';
import { search } from '../../bench/capacity.ts';

async function searched(limit: number) {
  const tried: number[] = [];
  const found = await search(async (streams) => {
    tried.push(streams);
    return streams <= limit;
  });
  return { ...found, tried };
}

describe('search', () => {
  it('finds the number to a tenth', async () => {
    for (const limit of [60, 230, 640, 1_500]) {
      const { carried, failedAt } = await searched(limit);
      expect(carried).toBeLessThanOrEqual(limit);
      expect(failedAt).toBeGreaterThan(limit);
      expect(failedAt! / carried).toBeLessThanOrEqual(1.1);
    }
  });

  it('ends where more would measure the bench itself', async () => {
    const { carried, failedAt, tried } = await searched(Number.POSITIVE_INFINITY);
    expect([carried, failedAt]).toEqual([1_600, null]);
    expect(tried).toEqual([50, 100, 200, 400, 800, 1_600]);
  });

  it('tries one number where even the first is not carried', async () => {
    expect(await searched(0)).toEqual({ carried: 0, failedAt: 50, tried: [50] });
  });
});
