/** The simulation itself is repeatable from its seed; and the race. Worlds in which everything fails: main.ts. */
import { beforeAll, describe, expect, it } from 'vitest';
import { bundleEdge } from './bundle/bundle.ts';
import { violationsInWords } from './report.ts';
import type { RunResult } from './run.ts';
import { inThreads, type Job } from './threads.ts';

let bundle: string;
beforeAll(async () => {
  bundle = await bundleEdge();
});

async function run(...jobs: Job[]): Promise<RunResult[]> {
  const results: RunResult[] = [];
  await inThreads(jobs, {
    threads: Math.min(2, jobs.length),
    bundle,
    onResult: (result) => results.push(result) > 0,
  });
  return results.sort((a, b) => a.seed - b.seed);
}

const job = (seed: number, requests: number, scenario: Job['scenario'] = 'mixed'): Job => ({
  seed,
  requests,
  scenario,
});
const broken = (results: readonly RunResult[]) =>
  results.filter(({ violations }) => violations.length > 0).map(violationsInWords);

describe('a simulated world', () => {
  it('is the same for the same seed, in another thread and after other worlds, and another for another seed', async () => {
    const [alone] = await run(job(7, 300));
    const [first, again, other] = await run(job(6, 200), job(7, 300), job(8, 300));
    expect(first!.digest).not.toBe(alone!.digest);
    expect(again!.digest).toBe(alone!.digest);
    expect(other!.digest).not.toBe(alone!.digest);
    expect(again!.counts).toEqual(alone!.counts);
  });

  it('lets nobody overspend a cent that thousands race for, and refuses nobody while it is not spent', async () => {
    expect(broken(await run(job(1, 10_000, 'race')))).toEqual([]);
  });
});
