/**
 * The routing policy in production. A conversation goes to its home node, unless waiting there costs more seconds than
 * computing its prompt again elsewhere. A new conversation takes the emptier of two nodes chosen by weighted rendezvous
 * hashing: every isolate chooses the same two without shared state, each node gets its share by weight, a node that joins
 * or leaves moves only its own part, and a choice between two is robust to an old snapshot (power of two choices).
 */
import { mix32 } from './hash.ts';
import type { Candidate, Policy } from './policy.ts';
import { fullness, prefillSeconds, waitSeconds } from './wait-estimate.ts';

export const affinity: Policy = (candidates, { affinity: key, promptTokens, home }) => {
  let homeNode: Candidate | null = null;
  let first: Candidate | null = null;
  let second: Candidate | null = null;
  let firstRank = Number.POSITIVE_INFINITY;
  let secondRank = Number.POSITIVE_INFINITY;
  for (const candidate of candidates) {
    if (home !== null && candidate.node.id === home.nodeId) homeNode = candidate;
    // u is uniform in (0, 1). Each node has the least −ln(u) ÷ weight for its share of keys
    // (Schindelhauer, Schomaker 2005).
    const u = (mix32(key ^ candidate.seed) + 0.5) / 2 ** 32;
    // Since −ln(u) ≥ 1 − u, most nodes are ruled out without computing the logarithm.
    if ((1 - u) / candidate.weight >= secondRank) continue;
    const rank = -Math.log(u) / candidate.weight;
    if (rank < firstRank) {
      second = first;
      secondRank = firstRank;
      first = candidate;
      firstRank = rank;
    } else if (rank < secondRank) {
      second = candidate;
      secondRank = rank;
    }
  }
  const hashed = first !== null && second !== null && isEmptier(second, first, promptTokens) ? second : first;
  if (homeNode === null || hashed === null || homeNode === hashed) return homeNode ?? hashed;
  const staySeconds = waitSeconds(homeNode) + prefillSeconds(homeNode, promptTokens - home!.cachedTokens);
  const moveSeconds = waitSeconds(hashed) + prefillSeconds(hashed, promptTokens);
  return moveSeconds < staySeconds ? hashed : homeNode;
};

/** Whether `a` would be emptier than `b`. False when the fullness of either is unknown. */
function isEmptier(a: Candidate, b: Candidate, promptTokens: number): boolean {
  const fullnessOfA = fullness(a, promptTokens);
  const fullnessOfB = fullness(b, promptTokens);
  return fullnessOfA !== null && fullnessOfB !== null && fullnessOfA < fullnessOfB;
}
