/** The state of nodes as this isolate knows it from its own requests: newer than any snapshot, and lost with the isolate. */
import type { NodeView, PoolSnapshot } from '../../domain/node.ts';
import { type Breaker, CLOSED, fail, phaseOf, succeed } from '../../domain/routing/breaker.ts';
import { hash32 } from '../../domain/routing/hash.ts';
import { isUnreachable } from '../../domain/routing/health.ts';
import type { LocalLoad } from '../../domain/routing/policy.ts';

interface LocalState {
  readonly modelId: string;
  readonly seed: number;
  readonly load: { -readonly [count in keyof LocalLoad]: LocalLoad[count] };
  breaker: Breaker;
  /** The one request that tests whether a node with a half-open breaker is back. */
  probe: NodeAttempt | null;
  /** The node's queue was full; it gets no request before this time. */
  busyUntilMs: number;
  /** Whether the previous snapshot reported the node as unreachable. */
  wasUnreachable: boolean;
}

const states = new Map<string, LocalState>();
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
    if (state.wasUnreachable && !isUnreachable(health)) state.breaker = CLOSED;
    state.wasUnreachable = isUnreachable(health);
  }
  const ids = new Set(nodes.map(({ id }) => id));
  for (const [id, { modelId, load }] of states)
    if (modelId === first.modelId && load.requests === 0 && !ids.has(id)) states.delete(id);
}

/** A request at a node, from the routing decision on. */
export interface NodeAttempt {
  readonly node: NodeView;
  readonly startedMs: number;
  /** The first token has arrived. */
  answered(nowMs: number): void;
  /** The node failed the request; this isolate avoids the node from now on. */
  failed(nowMs: number): void;
  /** The node's queue is full; this isolate sends it nothing before `untilMs`. */
  refused(untilMs: number): void;
  /** The request has left the node, for whatever reason. Safe to repeat. */
  end(): void;
}

export function beginAttempt(
  node: NodeView,
  { promptTokens }: { promptTokens: number },
  nowMs: number,
): NodeAttempt {
  const state = stateFor(node.id, node.modelId);
  let waitingTokens = promptTokens;
  let ended = false;
  const stopWaiting = () => {
    state.load.waitingTokens -= waitingTokens;
    waitingTokens = 0;
    if (state.probe !== attempt) return;
    state.probe = null;
    changes += 1;
  };
  const setBreaker = (breaker: Breaker) => {
    if (breaker === state.breaker) return;
    state.breaker = breaker;
    changes += 1;
  };
  const attempt: NodeAttempt = {
    node,
    startedMs: nowMs,
    answered(atMs) {
      stopWaiting();
      setBreaker(succeed(state.breaker, atMs));
    },
    failed: (atMs) => setBreaker(fail(state.breaker, { startedMs: nowMs, nowMs: atMs })),
    refused(untilMs) {
      state.busyUntilMs = untilMs;
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
  if (state.probe === null && phaseOf(state.breaker, nowMs) === 'half_open') {
    state.probe = attempt;
    changes += 1;
  }
  return attempt;
}

function stateFor(id: string, modelId: string): LocalState {
  const state = states.get(id);
  if (state !== undefined) return state;
  const fresh: LocalState = {
    modelId,
    seed: hash32(id),
    load: { requests: 0, waitingTokens: 0 },
    breaker: CLOSED,
    probe: null,
    busyUntilMs: 0,
    wasUnreachable: false,
  };
  states.set(id, fresh);
  return fresh;
}
