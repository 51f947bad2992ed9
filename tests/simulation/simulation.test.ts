/** The simulation is repeatable from its seed, and the race holds. Worlds with faults are run by main.ts. */
import { beforeAll, describe, expect, it } from 'vitest';
import { bundleEdge } from './bundle/bundle.ts';
import { formatViolations } from './report.ts';
import type { RunResult } from './run.ts';
import { runInThreads, type ThreadRun } from './threads.ts';

let bundle: string;
beforeAll(async () => {
  bundle = await bundleEdge();
});

async function run(...runs: ThreadRun[]): Promise<RunResult[]> {
  const results: RunResult[] = [];
  await runInThreads(runs, {
    threads: Math.min(2, runs.length),
    bundle,
    onResult: (result) => results.push(result) > 0,
  });
  return results.sort((a, b) => a.seed - b.seed);
}

const worldRun = (seed: number, requests: number, scenario: ThreadRun['scenario'] = 'mixed'): ThreadRun => ({
  seed,
  requests,
  scenario,
});
const broken = (results: readonly RunResult[]) =>
  results.filter(({ violations }) => violations.length > 0).map(formatViolations);

describe('a simulated world', () => {
  it('repeats itself for the same seed, in another thread and after other worlds, and differs for another seed', async () => {
    const [alone] = await run(worldRun(7, 300));
    const [first, again, other] = await run(worldRun(6, 200), worldRun(7, 300), worldRun(8, 300));
    expect(first!.digest).not.toBe(alone!.digest);
    expect(again!.digest).toBe(alone!.digest);
    expect(other!.digest).not.toBe(alone!.digest);
    expect(again!.counts).toEqual(alone!.counts);
  });

  it('lets no request overspend a cent that thousands race for, and refuses none while the cent is not spent', async () => {
    expect(broken(await run(worldRun(1, 10_000, 'race')))).toEqual([]);
  });
});
