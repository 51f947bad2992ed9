/** A node as the edge sees it: its registration, its state at the last heartbeat, and whether it may serve. */
import type { NodeLoad } from '../../gpu-pool/protocol/schemas.ts';

/**
 * canary: enrolled or restored, and gets no customer's request before its canary has passed · active: serves · draining:
 * finishes the requests that run · quarantined: held back by an operator · removed: final
 */
export const NODE_STATES = ['canary', 'active', 'draining', 'quarantined', 'removed'] as const;
export type NodeState = (typeof NODE_STATES)[number];

/** The actions of an operator on a node. */
export const NODE_ACTIONS = ['drain', 'quarantine', 'restore', 'remove'] as const;
export type NodeAction = (typeof NODE_ACTIONS)[number];

/**
 * State transitions. No transition bypasses the canary on the way to `active`, except `restore` of a draining node: it came
 * from `active`, and draining ends if its engine changes.
 */
const NEXT: Record<NodeAction | 'engine_changed', Record<Exclude<NodeState, 'removed'>, NodeState>> = {
  /** An active node finishes the requests that run; a node without customers is held back at once. */
  drain: { canary: 'quarantined', active: 'draining', draining: 'draining', quarantined: 'quarantined' },
  quarantine: {
    canary: 'quarantined',
    active: 'quarantined',
    draining: 'quarantined',
    quarantined: 'quarantined',
  },
  /** For a node in `canary`: its canary is tried again at once. */
  restore: { canary: 'canary', active: 'active', draining: 'active', quarantined: 'canary' },
  remove: { canary: 'removed', active: 'removed', draining: 'removed', quarantined: 'removed' },
  /** Not an action: the engine has another version or other weights, for which the last canary proves nothing. */
  engine_changed: {
    canary: 'canary',
    active: 'canary',
    draining: 'quarantined',
    quarantined: 'quarantined',
  },
};

/** The state after an event; null when the event is not possible, because removal is final. */
export function nextState(state: NodeState, event: keyof typeof NEXT): NodeState | null {
  if (state === 'removed') return event === 'remove' ? 'removed' : null;
  return NEXT[event][state];
}

/** A node's row in D1. Enrolment, the operator, a passed canary and a changed engine change it. */
export interface RegisteredNode {
  readonly id: string;
  readonly name: string;
  readonly modelId: string;
  readonly hardware: string;
  readonly url: string;
  /** Output tokens per second it is expected to reach; its share of traffic follows from it. */
  readonly capacity: number;
  readonly state: NodeState;
  /** Rises with every change of its row in D1: of two copies, the one with the higher revision is newer. */
  readonly revision: number;
}

/**
 * up: serves · ejected: requests failed, so its circuit breaker is open · silent: its heartbeats stopped · engine_down: the
 * agent runs and the engine does not
 */
export type NodeHealth = 'up' | 'ejected' | 'silent' | 'engine_down';

/** A node in a snapshot: its row, and what the Pool knows of it. */
export interface NodeView extends RegisteredNode {
  readonly health: NodeHealth;
  /** The fraction of its weight that it may get now, above 0, at most 1; it is less than 1 during a slow start. */
  readonly share: number;
  /** Its traffic relative to the other nodes: output tokens per second that it can reach with the present workload. */
  readonly weight: number;
  readonly draining: boolean;
  readonly lastHeartbeatMs: number;
  readonly inFlight: number;
  readonly load: NodeLoad;
  /** The engine's answers repeat by their seed; absent: they do not. */
  readonly deterministic?: boolean;
}

/** The pool of one model at an instant. */
export interface PoolSnapshot {
  readonly atMs: number;
  readonly nodes: readonly NodeView[];
}

/** The part of a heartbeat that the Pool uses. */
export interface NodeReport {
  readonly engineHealthy: boolean;
  readonly draining: boolean;
  readonly inFlight: number;
  readonly load: NodeLoad;
  readonly deterministic?: boolean;
}

/** A node without a heartbeat for so long is silent. Heartbeats come every 2 s, so three in a row were missed. */
export const HEARTBEAT_AGE_MS_MAX = 7_000;

/** Whether a node takes new requests. */
export function isServing(node: NodeView): boolean {
  return node.state === 'active' && !node.draining && node.health === 'up';
}

/** A failure that an isolate saw at a node. */
export interface FailureReport {
  readonly nodeId: string;
  /** The account whose request failed. */
  readonly accountId: string;
  readonly startedAgoMs: number;
}

/** The Pool, a model's Durable Object: it knows the present state of the model's nodes. */
export interface PoolApi {
  /** Takes a heartbeat. @returns the view that the Pool now has of the node */
  heartbeat(node: RegisteredNode, report: NodeReport): Promise<NodeView>;
  /** The pool at this instant. */
  snapshot(): Promise<PoolSnapshot>;
  /**
   * The snapshot that isolates route by. It is text (snapshot-text.ts) and up to a fraction of a second old, so that
   * many can read it.
   */
  snapshotText(): Promise<string>;
  /**
   * Reports a retryable failure that an isolate saw (connect error, 5xx, time-out). It ejects the node once two accounts saw
   * one, or the node itself no longer answers.
   * @param failure.startedAgoMs time since the failed request began; a duration, since clocks differ
   */
  reportFailure(failure: FailureReport): Promise<void>;
  /**
   * Passes on a changed row of D1. A node that the Pool does not know yet is
   * ignored: its first heartbeat brings the row.
   */
  register(node: RegisteredNode): Promise<void>;
  /** Calls for a heartbeat of every node that has a pulse, whose reply tells what has changed of the model. */
  callNodes(): Promise<void>;
}
