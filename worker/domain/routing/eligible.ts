/** Filter, then choose: what a node of a snapshot is good for. */
import type { NodeView } from '../node.ts';
import type { Phase } from './breaker.ts';
import { isGone } from './health.ts';
import { isFull } from './overload.ts';

/** What an isolate knows of a node from its own requests: newer than the snapshot. */
export interface OwnView {
  readonly phase: Phase;
  /** a request is finding out whether the node is back */
  readonly probing: boolean;
  /** it refused a request for its full queue, and has not asked to be tried again yet */
  readonly busy: boolean;
}

/**
 * idle: not in service · gone: no heartbeat, no engine · full: its queue is · out: its breaker is open, the Pool's or
 * ours · probed: half open, and its one request is under way · ready: may be asked
 */
export type Standing = 'idle' | 'gone' | 'full' | 'out' | 'probed' | 'ready';

export function standingOf(node: NodeView, own: OwnView): Standing {
  if (node.state !== 'active' || node.draining) return 'idle';
  if (isGone(node.health)) return 'gone';
  if (own.busy || isFull(node.load)) return 'full';
  if (own.phase === 'open' || node.health === 'ejected') return 'out';
  return own.probing ? 'probed' : 'ready';
}

/** The nodes among which a policy chooses, and who is asked when there is none of them left. */
export interface Eligible<T> {
  readonly candidates: T[];
  /** their queues are full: another candidate is better */
  readonly full: T[];
  /** with a heartbeat, but not to be trusted: better than to refuse */
  readonly lastResort: T[];
  /** more of the pool is out than in: then ejections are not believed, a fault of ours looks like one of every node */
  readonly panic: boolean;
}

/**
 * @param silenceCounts false where the Pool itself has not been heard of for long: whoever it missed may be back
 */
export function sortOut<T>(
  nodes: readonly T[],
  standing: (node: T) => Standing,
  { silenceCounts }: { silenceCounts: boolean },
): Eligible<T> {
  const by: Record<Standing, T[]> = { idle: [], gone: [], full: [], out: [], probed: [], ready: [] };
  for (const node of nodes) by[standing(node)].push(node);
  const outside = by.out.length + by.gone.length;
  const panic = outside > nodes.length - by.idle.length - outside;
  const untrusted = [...by.probed, ...by.out];
  const lastResort = silenceCounts || by.ready.length + untrusted.length > 0 ? untrusted : by.gone;
  return panic
    ? { candidates: [...by.ready, ...untrusted], full: by.full, lastResort, panic }
    : { candidates: by.ready, full: by.full, lastResort, panic };
}

/**
 * Where no candidate is left: whether that is for too much work, and refusing early is kindest. What is not to be
 * trusted cannot take the overflow of a pool, but one full queue is no reason to try nobody else.
 */
export function isCrowded({
  full,
  lastResort,
}: {
  full: readonly unknown[];
  lastResort: readonly unknown[];
}): boolean {
  return full.length > 0 && full.length >= lastResort.length;
}
