/** What a routing policy is: nodes and a request in, the nodes in order of preference out. */
import type { NodeView } from '../node.ts';

/** A node that may serve, with what this isolate has sent it that its last heartbeat cannot know of. */
export interface Candidate {
  readonly node: NodeView;
  /** this isolate's requests in flight there */
  readonly ownInFlight: number;
}

export interface RouteRequest {
  /** hash of what the conversation keeps as it grows: account, model, system prompt, tools, first user message */
  readonly affinity: number;
}

/** Pure: the same input gives the same order. The first is the choice, the others are for retries. */
export type Policy = (candidates: readonly Candidate[], request: RouteRequest) => Candidate[];

/** Requests per unit of capacity: comparable between a H800 pair and a MI300X host. */
export function normalisedLoad({ node, ownInFlight }: Candidate): number {
  return requestsAt({ node, ownInFlight }) / node.capacity;
}

/** The heartbeat's count already has what this isolate sent before it, so the larger of the two is the better guess. */
export function requestsAt({ node, ownInFlight }: Candidate): number {
  return Math.max(node.load.running_requests + node.load.waiting_requests, node.inFlight, ownInFlight);
}
