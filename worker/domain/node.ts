/** A node as the edge sees it: what is registered, how it was at its last heartbeat, and whether it may serve. */
import type { NodeLoad } from '../../gpu-pool/protocol.ts';

/**
 * canary: enrolled or restored, gets no customer before its canary has passed · active: serves · draining: finishes
 * what runs · quarantined: held back by an operator · removed: for ever
 */
export const NODE_STATES = ['canary', 'active', 'draining', 'quarantined', 'removed'] as const;
export type NodeState = (typeof NODE_STATES)[number];

/** From D1: changes only by enrolment and by the operator. */
export interface RegisteredNode {
  readonly id: string;
  readonly name: string;
  readonly modelId: string;
  readonly hardware: string;
  readonly url: string;
  /** output tokens per second it is expected to reach: its share of traffic */
  readonly capacity: number;
  readonly state: NodeState;
}

/**
 * up: serves · ejected: failed for the edge, on probation until `ejectedUntilMs` · silent: its heartbeats stopped ·
 * engine_down: the agent lives, the engine does not
 */
export type NodeHealth = 'up' | 'ejected' | 'silent' | 'engine_down';

export interface NodeView extends RegisteredNode {
  readonly health: NodeHealth;
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
  snapshot(): Promise<PoolSnapshot>;
  /** An edge saw a retryable failure (connect error, 5xx, time-out). */
  reportFailure(nodeId: string): Promise<void>;
  /** The operator drained, restored or removed a node. */
  setState(nodeId: string, state: RegisteredNode['state']): Promise<void>;
}
