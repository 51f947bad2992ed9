/** Runs each mutated Worker with a few seeds until an expected law is broken, and reports the mutations that no law noticed. */
import type { LawName } from '../laws/world.ts';
import { bundleEdge } from './bundle/bundle.ts';
import { MUTATIONS, type Mutation } from './mutations.ts';
import { runInThreads, type ThreadRun } from './threads.ts';

export interface Verdict {
  readonly mutation: Mutation;
  /** The laws that were broken with any of the seeds that were tried. */
  readonly red: readonly LawName[];
  readonly noticed: boolean;
  readonly seeds: number;
}

const SEEDS = [101, 102, 103];
const REQUESTS = 500;

/** Tries all mutations with the first seed, and those that stay unnoticed with further seeds. */
export async function runMutations(
  mutations: readonly Mutation[] = MUTATIONS,
  threads = 2,
  onRun: (mutation: Mutation, red: readonly LawName[]) => void = () => {},
): Promise<readonly Verdict[]> {
  const unmutated = await bundleEdge();
  const red = new Map<Mutation, Set<LawName>>(mutations.map((mutation) => [mutation, new Set()]));
  const seeds = new Map<Mutation, number>();
  let waiting = [...mutations];
  for (const seed of SEEDS) {
    const runs: (ThreadRun & { mutation: Mutation })[] = [];
    for (const mutation of waiting) {
      const { scenario = 'mixed', requests = REQUESTS, edits } = mutation;
      runs.push({ seed, scenario, requests, bundle: await bundleEdge(edits), mutation });
    }
    await runInThreads(runs, {
      threads,
      bundle: unmutated,
      onResult({ violations }, run) {
        const { mutation } = run as (typeof runs)[number];
        seeds.set(mutation, (seeds.get(mutation) ?? 0) + 1);
        for (const { law } of violations) red.get(mutation)!.add(law);
        onRun(mutation, [...red.get(mutation)!]);
        return true;
      },
    });
    waiting = waiting.filter((mutation) => !isNoticed(mutation, red.get(mutation)!));
    if (waiting.length === 0) break;
  }
  return mutations.map((mutation) => ({
    mutation,
    red: [...red.get(mutation)!].sort(byNumber),
    noticed: isNoticed(mutation, red.get(mutation)!),
    seeds: seeds.get(mutation) ?? 0,
  }));
}

function isNoticed({ expects }: Mutation, red: ReadonlySet<LawName>): boolean {
  return expects.some((law) => red.has(law));
}

function byNumber(a: LawName, b: LawName): number {
  return Number(a.slice(1)) - Number(b.slice(1));
}
