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

  it('serves the other customers as it would without the attacker', async () => {
    const results = await run(worldRun(1, 6_000, 'attack'), worldRun(2, 3_000, 'calm'));
    expect(broken(results)).toEqual([]);
    const [attack, calm] = results.map(({ counts }) => {
      const ends = Object.entries(counts).filter(([what]) => what.startsWith('client '));
      const total = ends.reduce((sum, [, count]) => sum + count, 0);
      const attacks = Object.keys(counts).filter((what) => what.startsWith('attacker ')).length;
      return { total, served: counts['client whole']! / total, attacks };
    });
    expect(attack!.total).toBeGreaterThan(2_000);
    // Attacks ended in every way: served, refused by the edge and by engines, and broken.
    expect(attack!.attacks).toBeGreaterThanOrEqual(5);
    expect(calm!.served).toBe(1);
    expect(attack!.served).toBeGreaterThanOrEqual(calm!.served - 0.001);
  });

  it('lets no request overspend a cent that thousands race for, and refuses none while the cent is not spent', async () => {
    expect(broken(await run(worldRun(1, 10_000, 'race')))).toEqual([]);
  });
});
