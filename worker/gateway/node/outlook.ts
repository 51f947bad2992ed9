/**
 * How a node looks to this isolate: its breaker, and whether its queue was full. One outlook of a node is shared by all
 * requests; an account that saw the node fail or refuse has one of its own beside it (`domain/routing/witness.ts`).
 */
import { type Breaker, CLOSED, phaseOf, shareOf } from '../../domain/routing/breaker.ts';
import type { LocalNodeView } from '../../domain/routing/eligibility.ts';

export interface Outlook {
  breaker: Breaker;
  /** The one request that tests whether a node with a half-open breaker is back. */
  probe: object | null;
  /** The node's queue was full; it gets no request before this time. */
  busyUntilMs: number;
}

/** The requests that share an outlook: of one account, those of clients or those of batches. */
export interface Party {
  readonly accountId: string;
  /**
   * Batch lines run at a lower priority, so an engine may refuse them while it takes others: their refusals say nothing to
   * anyone else.
   */
  readonly background: boolean;
}

export function newOutlook(): Outlook {
  return { breaker: CLOSED, probe: null, busyUntilMs: 0 };
}

/** The view of a node that both outlooks allow together. */
export function combined(outlooks: readonly Outlook[], nowMs: number): LocalNodeView & { share: number } {
  return {
    phase: outlooks.some(({ breaker }) => phaseOf(breaker, nowMs) === 'open') ? 'open' : 'closed',
    probing: outlooks.some(({ probe }) => probe !== null),
    busy: outlooks.some(({ busyUntilMs }) => nowMs < busyUntilMs),
    share: Math.min(...outlooks.map(({ breaker }) => shareOf(breaker, nowMs))),
  };
}

/** Own outlooks are looked through for those that say nothing any more at most this often. */
const SWEEP_EVERY_MS = 10_000;
/** Longer than any memory of a breaker for failures in a row (`FAILURE_MEMORY_MS` and the openings themselves). */
const KEPT_MS = 90_000;

/** The outlooks that parties have of their own, by party and node. */
export class OwnOutlooks {
  readonly #byParty = new Map<string, Map<string, { outlook: Outlook; usedMs: number }>>();
  #sweptMs = 0;

  /** The party's outlook on the node; undefined: it has none, as the node never failed or refused it. */
  find(party: Party, nodeId: string): Outlook | undefined {
    return this.#byParty.get(keyOf(party))?.get(nodeId)?.outlook;
  }

  /** Whether the party has an outlook of its own on any node. */
  has(party: Party): boolean {
    return this.#byParty.has(keyOf(party));
  }

  /** The party's outlook on the node, made if there is none. */
  ensure(party: Party, nodeId: string, nowMs: number): Outlook {
    this.#sweep(nowMs);
    const key = keyOf(party);
    const nodes = this.#byParty.get(key) ?? new Map();
    this.#byParty.set(key, nodes);
    const kept = nodes.get(nodeId) ?? { outlook: newOutlook(), usedMs: nowMs };
    nodes.set(nodeId, { ...kept, usedMs: nowMs });
    return kept.outlook;
  }

  /** Forgets what parties saw of a node that came back, or left its pool. */
  forget(nodeId: string): void {
    for (const [key, nodes] of this.#byParty) {
      nodes.delete(nodeId);
      if (nodes.size === 0) this.#byParty.delete(key);
    }
  }

  #sweep(nowMs: number): void {
    if (Math.abs(nowMs - this.#sweptMs) < SWEEP_EVERY_MS) return;
    this.#sweptMs = nowMs;
    for (const [key, nodes] of this.#byParty) {
      for (const [nodeId, { outlook, usedMs }] of nodes)
        if (nowMs - usedMs > KEPT_MS && outlook.probe === null) nodes.delete(nodeId);
      if (nodes.size === 0) this.#byParty.delete(key);
    }
  }
}

export function keyOf({ accountId, background }: Party): string {
  return background ? `${accountId} batch` : accountId;
}
