/** Runs each mutation until the law that it breaks says so, in a few threads; and says which stay unnoticed. */
import type { LawName } from '../laws/world.ts';
import { bundleEdge } from './bundle/bundle.ts';
import { MUTATIONS, type Mutation } from './mutations.ts';
import { inThreads, type Job } from './threads.ts';

export interface Verdict {
  readonly mutation: Mutation;
  /** laws that turned red, of all seeds that were tried */
  readonly red: readonly LawName[];
  readonly noticed: boolean;
  readonly seeds: number;
}

const SEEDS = [101, 102, 103];
const REQUESTS = 500;

/** @param mutations tried with one seed each first, the unnoticed ones with further seeds */
export async function hunt(
  mutations: readonly Mutation[] = MUTATIONS,
  threads = 2,
  onRun: (mutation: Mutation, red: readonly LawName[]) => void = () => {},
): Promise<readonly Verdict[]> {
  const sound = await bundleEdge();
  const red = new Map<Mutation, Set<LawName>>(mutations.map((mutation) => [mutation, new Set()]));
  const seeds = new Map<Mutation, number>();
  let waiting = [...mutations];
  for (const seed of SEEDS) {
    const jobs: (Job & { mutation: Mutation })[] = [];
    for (const mutation of waiting) {
      const { scenario = 'mixed', requests = REQUESTS, edits } = mutation;
      jobs.push({ seed, scenario, requests, bundle: await bundleEdge(edits), mutation });
    }
    await inThreads(jobs, {
      threads,
      bundle: sound,
      onResult({ violations }, job) {
        const { mutation } = job as (typeof jobs)[number];
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
