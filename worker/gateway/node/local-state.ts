/** The state of nodes as this isolate knows it from its own requests: newer than any snapshot, and lost with the isolate. */
import type { NodeView, PoolSnapshot } from '../../domain/node.ts';
import { type Breaker, CLOSED, fail, phaseOf, succeed } from '../../domain/routing/breaker.ts';
import { hash32 } from '../../domain/routing/hash.ts';
import { isUnreachable } from '../../domain/routing/health.ts';
import type { LocalLoad } from '../../domain/routing/policy.ts';
import { agrees, type Witness } from '../../domain/routing/witness.ts';
import { newOutlook, type Outlook, OwnOutlooks, type Party } from './outlook.ts';

interface LocalState {
  readonly modelId: string;
  readonly seed: number;
  readonly load: { -readonly [count in keyof LocalLoad]: LocalLoad[count] };
  /** The outlook that all requests share. */
  readonly shared: Outlook;
  lastFailure: Witness | null;
  lastRefusal: Witness | null;
  /** Whether the previous snapshot reported the node as unreachable. */
  wasUnreachable: boolean;
}

const states = new Map<string, LocalState>();
const own = new OwnOutlooks();
/** Changes of breakers, probes and full queues since the isolate started. */
let changes = 0;
let inFlight = 0;

/** A counter that increases whenever cached routing candidates must be recomputed. */
export function changeCount(): number {
  return changes;
}

/** The number of this isolate's requests that are at a node now. */
export function inFlightTotal(): number {
  return inFlight;
}

export function localStateOf({ id, modelId }: NodeView): Readonly<LocalState> {
  return stateFor(id, modelId);
}

/** Whether the party knows more of some node than all others do. */
export function hasOwnOutlook(party: Party): boolean {
  return own.has(party);
}

/** The outlooks on a node that count for a party: the shared one, and its own if it has one. */
export function outlooksOn(node: NodeView, party: Party): Outlook[] {
  const { shared } = localStateOf(node);
  const mine = own.find(party, node.id);
  return mine ? [shared, mine] : [shared];
}

/**
 * Applies a snapshot that the isolate sees for the first time: closes the breakers of nodes that came back, and forgets
 * nodes that left the pool.
 */
export function observeSnapshot({ nodes }: PoolSnapshot): void {
  const [first] = nodes;
  if (first === undefined) return;
  for (const { id, modelId, health } of nodes) {
    const state = stateFor(id, modelId);
    // the Pool has had a heartbeat from it since, so its earlier failures no longer count
    if (state.wasUnreachable && !isUnreachable(health)) {
      state.shared.breaker = CLOSED;
      own.forget(id);
    }
    state.wasUnreachable = isUnreachable(health);
  }
  const ids = new Set(nodes.map(({ id }) => id));
  for (const [id, { modelId, load }] of states)
    if (modelId === first.modelId && load.requests === 0 && !ids.has(id)) {
      states.delete(id);
      own.forget(id);
    }
}

/** A request at a node, from the routing decision on. */
export interface NodeAttempt {
  readonly node: NodeView;
  readonly startedMs: number;
  /** The first token has arrived. */
  answered(nowMs: number): void;
  /** The node failed the request: its party avoids the node from now on, and all others do if two accounts agree. */
  failed(nowMs: number): void;
  /** The node's queue is full: its party sends it nothing before `untilMs`, and neither do others if two accounts agree. */
  refused(untilMs: number, nowMs: number): void;
  /** The request has left the node, for whatever reason. Safe to repeat. */
  end(): void;
}

export function beginAttempt(
  node: NodeView,
  { promptTokens, party }: { promptTokens: number; party: Party },
  nowMs: number,
): NodeAttempt {
  const state = stateFor(node.id, node.modelId);
  let waitingTokens = promptTokens;
  let ended = false;
  const stopWaiting = () => {
    state.load.waitingTokens -= waitingTokens;
    waitingTokens = 0;
    for (const outlook of outlooksOn(node, party)) {
      if (outlook.probe !== attempt) continue;
      outlook.probe = null;
      changes += 1;
    }
  };
  const attempt: NodeAttempt = {
    node,
    startedMs: nowMs,
    answered(atMs) {
      stopWaiting();
      for (const outlook of outlooksOn(node, party)) setBreaker(outlook, succeed(outlook.breaker, atMs));
    },
    failed(atMs) {
      const seen = { accountId: party.accountId, atMs };
      const outlooks = [own.ensure(party, node.id, atMs)];
      if (agrees(state.lastFailure, seen)) outlooks.push(state.shared);
      state.lastFailure = seen;
      for (const outlook of outlooks)
        setBreaker(outlook, fail(outlook.breaker, { startedMs: nowMs, nowMs: atMs }));
    },
    refused(untilMs, atMs) {
      const seen = { accountId: party.accountId, atMs };
      own.ensure(party, node.id, atMs).busyUntilMs = untilMs;
      if (!party.background) {
        if (agrees(state.lastRefusal, seen)) state.shared.busyUntilMs = untilMs;
        state.lastRefusal = seen;
      }
      changes += 1;
    },
    end() {
      if (ended) return;
      ended = true;
      stopWaiting();
      state.load.requests -= 1;
      inFlight -= 1;
    },
  };
  state.load.requests += 1;
  state.load.waitingTokens += waitingTokens;
  inFlight += 1;
  for (const outlook of outlooksOn(node, party)) {
    if (outlook.probe !== null || phaseOf(outlook.breaker, nowMs) !== 'half_open') continue;
    outlook.probe = attempt;
    changes += 1;
  }
  return attempt;
}

function setBreaker(outlook: Outlook, breaker: Breaker): void {
  if (breaker === outlook.breaker) return;
  outlook.breaker = breaker;
  changes += 1;
}

function stateFor(id: string, modelId: string): LocalState {
  const state = states.get(id);
  if (state !== undefined) return state;
  const fresh: LocalState = {
    modelId,
    seed: hash32(id),
    load: { requests: 0, waitingTokens: 0 },
    shared: newOutlook(),
    lastFailure: null,
    lastRefusal: null,
    wasUnreachable: false,
  };
  states.set(id, fresh);
  return fresh;
}
