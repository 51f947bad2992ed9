/**
 * The serving policy. A conversation goes where its last answer was made, unless waiting there costs more seconds than
 * computing its prompt again elsewhere. A new one takes the emptier of its two nodes by weighted rendezvous hashing:
 * every isolate names the same two without sharing anything, each node gets its share by weight, one that joins or
 * leaves moves only its own part, and between two an old snapshot does little harm (power of two choices).
 */
import { mix32 } from './hash.ts';
import type { Candidate, Policy } from './policy.ts';
import { fullness, prefillSeconds, waitSeconds } from './wait.ts';

export const affinity: Policy = (candidates, { affinity: key, promptTokens, home }) => {
  let known: Candidate | null = null;
  let first: Candidate | null = null;
  let second: Candidate | null = null;
  let firstRank = Number.POSITIVE_INFINITY;
  let secondRank = Number.POSITIVE_INFINITY;
  for (const candidate of candidates) {
    if (home !== null && candidate.node.id === home.nodeId) known = candidate;
    // u is uniform in (0, 1); the least −ln(u) ÷ weight is at each node for its share of keys (Schindelhauer, Schomaker 2005)
    const u = (mix32(key ^ candidate.seed) + 0.5) / 2 ** 32;
    // −ln(u) ≥ 1 − u spares most nodes the logarithm
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
  const fresh = first !== null && second !== null && isEmptier(second, first, promptTokens) ? second : first;
  if (known === null || fresh === null || known === fresh) return known ?? fresh;
  const stay = waitSeconds(known) + prefillSeconds(known, promptTokens - home!.cachedTokens);
  const move = waitSeconds(fresh) + prefillSeconds(fresh, promptTokens);
  return move < stay ? fresh : known;
};

/** What is known of one only is ignored for both. */
function isEmptier(a: Candidate, b: Candidate, promptTokens: number): boolean {
  const fullnessOfA = fullness(a, promptTokens);
  const fullnessOfB = fullness(b, promptTokens);
  return fullnessOfA !== null && fullnessOfB !== null && fullnessOfA < fullnessOfB;
}
