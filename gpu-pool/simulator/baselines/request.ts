/** The information about a request that the simulator's policies may use; serving policies know less. */
import type { Candidate, Policy, RouteRequest } from '../../../worker/domain/routing/policy.ts';

export interface SimRequest extends RouteRequest {
  /** Prefix blocks: equal ids are equal prefixes. */
  readonly blocks: readonly number[];
  /** Tokens of the prompt that the node's cache really holds now; only an omniscient router can know this. */
  readonly cachedAt: (candidate: Candidate) => number;
}

export type SimPolicy = Policy<SimRequest>;

/** Creates the policy of one router process or isolate, whose memory is its own. */
export type MakePolicy = (random: () => number) => SimPolicy;

/**
 * Requests at a node as common routers count them: unweighted, and the larger of the snapshot's count and their
 * own.
 */
export function requestsAt({ node, local }: Candidate): number {
  return Math.max(node.load.running_requests + node.load.waiting_requests, local.requests);
}

export function leastBy(
  candidates: readonly Candidate[],
  cost: (candidate: Candidate) => number,
): Candidate | null {
  let best: Candidate | null = null;
  let bestCost = Number.POSITIVE_INFINITY;
  for (const candidate of candidates) {
    const each = cost(candidate);
    if (each < bestCost) {
      best = candidate;
      bestCost = each;
    }
  }
  return best;
}
