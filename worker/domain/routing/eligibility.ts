/** Eligibility: sorts the nodes of a snapshot into those that a policy chooses among, and fallbacks. */
import type { NodeView } from '../node.ts';
import type { Phase } from './breaker.ts';
import { isUnreachable } from './health.ts';
import { isFull } from './overload.ts';

/** An isolate's knowledge of a node from its own requests; it is newer than the snapshot. */
export interface LocalNodeView {
  readonly phase: Phase;
  /** A request of this isolate is testing whether the node is back. */
  readonly probing: boolean;
  /** The node refused a request because its queue was full, and the retry time has not come yet. */
  readonly busy: boolean;
}

/**
 * out_of_service: not active, or draining · gone: it has no heartbeat or no engine · full: its queue is full · ejected: its
 * breaker is open, the Pool's or this isolate's · probed: half open, and its one trial request is under way · ready: it may
 * get requests
 */
export type Eligibility = 'out_of_service' | 'gone' | 'full' | 'ejected' | 'probed' | 'ready';

export function eligibilityOf(node: NodeView, local: LocalNodeView): Eligibility {
  if (node.state !== 'active' || node.draining) return 'out_of_service';
  if (isUnreachable(node.health)) return 'gone';
  if (local.busy || isFull(node.load)) return 'full';
  if (local.phase === 'open' || node.health === 'ejected') return 'ejected';
  return local.probing ? 'probed' : 'ready';
}

/** The nodes that a policy chooses among, and the fallbacks when no candidate is left. */
export interface Eligible<T> {
  readonly candidates: T[];
  /** Nodes whose queues are full. Any candidate is better. */
  readonly full: T[];
  /** Nodes that are not trusted at present. Trying one is better than refusing the request. */
  readonly lastResort: T[];
  /** More nodes are ejected or gone than not. Ejections are then ignored: a fault of the edge looks like one of every node. */
  readonly panic: boolean;
}

/**
 * Sorts nodes by eligibility.
 * @param trustSilence false when the snapshot is old: nodes that were silent then may be back
 */
export function partitionNodes<T>(
  nodes: readonly T[],
  eligibility: (node: T) => Eligibility,
  { trustSilence }: { trustSilence: boolean },
): Eligible<T> {
  const groups: Record<Eligibility, T[]> = {
    out_of_service: [],
    gone: [],
    full: [],
    ejected: [],
    probed: [],
    ready: [],
  };
  for (const node of nodes) groups[eligibility(node)].push(node);
  const unusable = groups.ejected.length + groups.gone.length;
  const inService = nodes.length - groups.out_of_service.length;
  const panic = unusable > inService - unusable;
  const untrusted = [...groups.probed, ...groups.ejected];
  const lastResort = trustSilence || groups.ready.length + untrusted.length > 0 ? untrusted : groups.gone;
  return panic
    ? { candidates: [...groups.ready, ...untrusted], full: groups.full, lastResort, panic }
    : { candidates: groups.ready, full: groups.full, lastResort, panic };
}

/**
 * When no candidate is left: whether the cause is overload, so that the request should be refused early. The pool is
 * overloaded when at least as many nodes are full as are untrusted: those few could not take the overflow. When more are
 * untrusted than full, trying one of them is better.
 */
export function isOverloaded({
  full,
  lastResort,
}: {
  full: readonly unknown[];
  lastResort: readonly unknown[];
}): boolean {
  return full.length > 0 && full.length >= lastResort.length;
}
