/**
 * The serving policy: weighted rendezvous hashing on the conversation, spilling to the next node under load.
 * It needs no shared state: every isolate sends a conversation to the same node, each node gets its share by
 * capacity, and a node that joins or leaves moves only its own part.
 */
import { hash32, mix32 } from './hash.ts';
import { type Candidate, normalisedLoad, type Policy, requestsAt } from './policy.ts';

/** Spill when the choice is this much busier than the pool's mean … */
const SPILL_FACTOR = 1.5;
/** … and by at least this many requests: among few requests factors are noise, and a cache hit is worth more. */
const SPILL_GAP_REQUESTS = 8;

export const affinity: Policy = (candidates, request) => {
  const ranked = candidates
    .map((candidate) => ({ candidate, score: score(candidate, request.affinity) }))
    .sort((a, b) => b.score - a.score)
    .map(({ candidate }) => candidate);
  const cool = ranked.findIndex((candidate) => !isOverloaded(candidate, candidates));
  if (cool <= 0) return ranked;
  const [chosen] = ranked.splice(cool, 1);
  return [chosen!, ...ranked];
};

/** Weighted rendezvous (Schindelhauer and Schomaker 2005): the highest −weight ÷ ln(h), h uniform in (0, 1). */
function score({ node }: Candidate, key: number): number {
  const h = (mix32(key ^ hash32(node.id)) + 0.5) / 2 ** 32;
  return -node.capacity / Math.log(h);
}

function isOverloaded(candidate: Candidate, all: readonly Candidate[]): boolean {
  const requests = all.reduce((sum, each) => sum + requestsAt(each), 0);
  const capacity = all.reduce((sum, each) => sum + each.node.capacity, 0);
  const mean = requests / capacity;
  return (
    normalisedLoad(candidate) > SPILL_FACTOR * mean &&
    requestsAt(candidate) - mean * candidate.node.capacity >= SPILL_GAP_REQUESTS
  );
}
