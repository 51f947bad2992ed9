/** What a routing policy is: nodes that may serve and a request in, the node to ask out. */
import type { NodeView } from '../node.ts';

/** A node that may serve, with what this isolate has sent it that the snapshot cannot know of. */
export interface Candidate {
  readonly node: NodeView;
  /** hash of its id, made once a snapshot */
  readonly seed: number;
  /** share of traffic relative to the others: capacity, less while it warms up after a failure */
  readonly weight: number;
  readonly own: OwnTraffic;
}

/** What this isolate has at a node: newer than any snapshot. */
export interface OwnTraffic {
  /** requests in flight */
  readonly requests: number;
  /** prompt tokens of those that wait for their first token */
  readonly waitingTokens: number;
}

export interface RouteRequest {
  /** hash of what the conversation keeps as it grows: account, model, system prompt, tools, first user message */
  readonly affinity: number;
  /** estimated */
  readonly promptTokens: number;
  /** where the conversation's last answer was made, and how much of this prompt that node knows; null: unknown */
  readonly home: Home | null;
}

export interface Home {
  readonly nodeId: string;
  /** at most `promptTokens` */
  readonly cachedTokens: number;
}

/**
 * The node to ask, null where there is no candidate. A retry asks again without those that were tried. The policy that
 * serves is a pure function; a baseline may remember what one router would.
 */
export type Policy<R extends RouteRequest = RouteRequest> = (
  candidates: readonly Candidate[],
  request: R,
) => Candidate | null;
