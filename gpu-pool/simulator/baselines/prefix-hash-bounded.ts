/**
 * Consistent hashing on the first blocks with a bounded load (KubeAI's CHWBL, SGLang router's `prefix_hash`):
 * follows the ring to the first node whose requests are at most 1.25 times the mean.
 */
import { mix32 } from '../../../worker/domain/routing/hash.ts';
import { type MakePolicy, requestsAt } from './request.ts';

const LOAD_FACTOR = 1.25;
const POINTS_PER_NODE = 100;

export const prefixHashBounded: MakePolicy = () => {
  let nodes = '';
  let ring: { point: number; id: string }[] = [];
  return (candidates, { blocks }) => {
    const present = candidates.map(({ node }) => node.id).join();
    if (present !== nodes) {
      nodes = present;
      ring = candidates
        .flatMap(({ node: { id }, seed }) =>
          Array.from({ length: POINTS_PER_NODE }, (_, i) => ({ point: mix32(seed ^ mix32(i + 1)), id })),
        )
        .sort((a, b) => a.point - b.point);
    }
    if (candidates.length === 0) return null;
    const byId = new Map(candidates.map((candidate) => [candidate.node.id, candidate]));
    const total = candidates.reduce((sum, each) => sum + requestsAt(each), 0);
    const bound = Math.ceil((LOAD_FACTOR * (total + 1)) / candidates.length);
    const key = mix32(blocks[0]! + 1);
    const start = Math.max(
      0,
      ring.findIndex(({ point }) => point >= key),
    );
    for (let step = 0; step < ring.length; step++) {
      const candidate = byId.get(ring[(start + step) % ring.length]!.id)!;
      if (requestsAt(candidate) + 1 <= bound) return candidate;
    }
    return candidates[0]!;
  };
};
