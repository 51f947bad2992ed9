/** The interface of a routing policy: from candidate nodes and a request it chooses the node to send it to. */
import type { NodeView } from '../node.ts';

/** A node that may serve, with the requests of this isolate that the snapshot does not include. */
export interface Candidate {
  readonly node: NodeView;
  /** Hash of its id, computed once per snapshot. */
  readonly seed: number;
  /** Share of traffic relative to the others: its capacity, reduced during a slow start. */
  readonly weight: number;
  readonly local: LocalLoad;
}

/** This isolate's own requests at a node. They are newer than any snapshot. */
export interface LocalLoad {
  /** Requests in flight. */
  readonly requests: number;
  /** Prompt tokens of the requests that wait for their first token. */
  readonly waitingTokens: number;
}

export interface RouteRequest {
  /** Hash of the parts that stay as a conversation grows: account, model, system prompt, tools, first user message. */
  readonly affinity: number;
  /** An estimate. */
  readonly promptTokens: number;
  /** The conversation's home node; null: unknown. */
  readonly home: HomeNode | null;
}

/** The node that generated a conversation's last answer. */
export interface HomeNode {
  readonly nodeId: string;
  /** Tokens of this prompt that the node may have cached; at most `promptTokens`. */
  readonly cachedTokens: number;
}

/**
 * Chooses a node; null when there is no candidate. A retry calls it again without the nodes that were tried. The policy in
 * production is a pure function; a baseline in the simulator may keep the state that a central router would.
 */
export type Policy<R extends RouteRequest = RouteRequest> = (
  candidates: readonly Candidate[],
  request: R,
) => Candidate | null;
