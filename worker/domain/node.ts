/** A node as the edge sees it: what is registered, how it was at its last heartbeat, and whether it may serve. */
import type { NodeLoad } from '../../gpu-pool/protocol/schemas.ts';

/**
 * canary: enrolled or restored, gets no customer before its canary has passed · active: serves · draining: finishes
 * what runs · quarantined: held back by an operator · removed: for ever
 */
export const NODE_STATES = ['canary', 'active', 'draining', 'quarantined', 'removed'] as const;
export type NodeState = (typeof NODE_STATES)[number];

/** What an operator can do to a node. */
export const NODE_VERBS = ['drain', 'quarantine', 'restore', 'remove'] as const;
export type NodeVerb = (typeof NODE_VERBS)[number];

/** No way leads to `active` past a canary: only draining, which begins there and ends with the engine, goes back. */
const NEXT: Record<NodeVerb | 'engine_changed', Record<Exclude<NodeState, 'removed'>, NodeState>> = {
  /** finishes what runs; one that has no customers is held back at once */
  drain: { canary: 'quarantined', active: 'draining', draining: 'draining', quarantined: 'quarantined' },
  quarantine: {
    canary: 'quarantined',
    active: 'quarantined',
    draining: 'quarantined',
    quarantined: 'quarantined',
  },
  /** of a canary: it is tried again at once */
  restore: { canary: 'canary', active: 'active', draining: 'active', quarantined: 'canary' },
  remove: { canary: 'removed', active: 'removed', draining: 'removed', quarantined: 'removed' },
  /** not the operator's doing: another version or other weights, which the last canary says nothing about */
  engine_changed: {
    canary: 'canary',
    active: 'canary',
    draining: 'quarantined',
    quarantined: 'quarantined',
  },
};

/** The state that follows; null where it cannot be done: removal is for ever. */
export function nextState(state: NodeState, event: keyof typeof NEXT): NodeState | null {
  if (state === 'removed') return event === 'remove' ? 'removed' : null;
  return NEXT[event][state];
}

/** From D1: changes by enrolment, by the operator, by a canary that passed and by an engine that changed. */
export interface RegisteredNode {
  readonly id: string;
  readonly name: string;
  readonly modelId: string;
  readonly hardware: string;
  readonly url: string;
  /** output tokens per second it is expected to reach: its share of traffic */
  readonly capacity: number;
  readonly state: NodeState;
  /** raised with every change of its row in D1: of two copies the later one has the higher */
  readonly revision: number;
}

/**
 * up: serves · ejected: failed for the edge, its breaker is open · silent: its heartbeats stopped · engine_down: the
 * agent lives, the engine does not
 */
export type NodeHealth = 'up' | 'ejected' | 'silent' | 'engine_down';

export interface NodeView extends RegisteredNode {
  readonly health: NodeHealth;
  /** part of its capacity that it may be given now, above 0 to 1: less than all while it starts slowly */
  readonly share: number;
  /** its part of the traffic relative to the others: what it can do with the work there is, in tokens per second */
  readonly weight: number;
  readonly draining: boolean;
  readonly lastHeartbeatMs: number;
  readonly inFlight: number;
  readonly load: NodeLoad;
}

/** The pool of one model at an instant. */
export interface PoolSnapshot {
  readonly atMs: number;
  readonly nodes: readonly NodeView[];
}

/** What one heartbeat tells the Pool. */
export interface NodeReport {
  readonly engineHealthy: boolean;
  readonly draining: boolean;
  readonly inFlight: number;
  readonly load: NodeLoad;
}

/** Heartbeats come every 2 s; three missed in a row mean that the node is gone. */
export const HEARTBEAT_AGE_MS_MAX = 7_000;

/** Whether a node takes new requests. */
export function isServing(node: NodeView): boolean {
  return node.state === 'active' && !node.draining && node.health === 'up';
}

/** The Pool of a model: how its nodes are right now. */
export interface PoolApi {
  /** @returns the view that the Pool now has of the node */
  heartbeat(node: RegisteredNode, report: NodeReport): Promise<NodeView>;
  /** As it is at this instant. */
  snapshot(): Promise<PoolSnapshot>;
  /** What isolates route by: a fraction of a second old, as text (pool-text.ts), so that many can read it. */
  routes(): Promise<string>;
  /**
   * An edge saw a retryable failure (connect error, 5xx, time-out).
   * @param failure.startedAgoMs of the request that failed: by the edge's own clock, since clocks differ
   */
  reportFailure(failure: { nodeId: string; startedAgoMs: number }): Promise<void>;
  /** A node's row was changed in D1. One that the Pool does not know yet comes with its first heartbeat. */
  register(node: RegisteredNode): Promise<void>;
}
