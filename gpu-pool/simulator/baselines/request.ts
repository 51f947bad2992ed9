/** What the simulator's policies may know of a request; those that serve know less. */
import type { Candidate, Policy, RouteRequest } from '../../../worker/domain/routing/policy.ts';

export interface SimRequest extends RouteRequest {
  /** prefix blocks: equal ids are equal prefixes */
  readonly blocks: readonly number[];
  /** what the node's cache really holds of the prompt now, in tokens: nobody's to know but an omniscient router's */
  readonly cachedAt: (candidate: Candidate) => number;
}

export type SimPolicy = Policy<SimRequest>;

/** One router process or isolate: what it remembers is its own. */
export type MakePolicy = (random: () => number) => SimPolicy;

/** Requests at a node as the usual routers count them: not weighted, and their own in the larger of two counts. */
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
