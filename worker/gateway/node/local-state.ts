/** What this isolate knows of nodes from its own requests: newer than any snapshot, and lost with the isolate. */
import type { NodeView, PoolSnapshot } from '../../domain/node.ts';
import { type Breaker, CLOSED, fail, phaseOf, succeed } from '../../domain/routing/breaker.ts';
import { hash32 } from '../../domain/routing/hash.ts';
import { isGone } from '../../domain/routing/health.ts';
import type { OwnTraffic } from '../../domain/routing/policy.ts';

interface LocalState {
  readonly modelId: string;
  readonly seed: number;
  readonly own: { -readonly [count in keyof OwnTraffic]: OwnTraffic[count] };
  breaker: Breaker;
  /** the one request that finds out whether a half-open node is back */
  probe: NodeAttempt | null;
  /** its queue was full: not before then again */
  busyUntilMs: number;
  /** in the snapshot before */
  wasGone: boolean;
}

const memories = new Map<string, LocalState>();
/** Of breakers, probes and full queues, since the isolate began. */
let changes = 0;
let inFlight = 0;

/** Moves on whenever a node should be looked at anew. */
export function changeCount(): number {
  return changes;
}

/** Requests of this isolate that are at a node now. */
export function inFlightTotal(): number {
  return inFlight;
}

export function localStateOf({ id, modelId }: NodeView): Readonly<LocalState> {
  return remember(id, modelId);
}

/** A snapshot that is seen for the first time: who came back, and who is no longer there. */
export function meet({ nodes }: PoolSnapshot): void {
  const [first] = nodes;
  if (first === undefined) return;
  for (const { id, modelId, health } of nodes) {
    const memory = remember(id, modelId);
    // the Pool has heard of it since: what it did to us before is over
    if (memory.wasGone && !isGone(health)) memory.breaker = CLOSED;
    memory.wasGone = isGone(health);
  }
  const ids = new Set(nodes.map(({ id }) => id));
  for (const [id, { modelId, own }] of memories)
    if (modelId === first.modelId && own.requests === 0 && !ids.has(id)) memories.delete(id);
}

/** A request at a node, from the decision on. */
export interface NodeAttempt {
  readonly node: NodeView;
  readonly startedMs: number;
  /** Its first token came. */
  answered(nowMs: number): void;
  /** The node failed it: this isolate avoids the node from now on. */
  failed(nowMs: number): void;
  /** The node's queue is full: this isolate leaves it alone until then. */
  refused(untilMs: number): void;
  /** It has left the node, however. Safe to repeat. */
  end(): void;
}

export function beginAttempt(
  node: NodeView,
  { promptTokens }: { promptTokens: number },
  nowMs: number,
): NodeAttempt {
  const memory = remember(node.id, node.modelId);
  let waitingTokens = promptTokens;
  let ended = false;
  const noLongerWaits = () => {
    memory.own.waitingTokens -= waitingTokens;
    waitingTokens = 0;
    if (memory.probe !== self) return;
    memory.probe = null;
    changes += 1;
  };
  const become = (breaker: Breaker) => {
    if (breaker === memory.breaker) return;
    memory.breaker = breaker;
    changes += 1;
  };
  const self: NodeAttempt = {
    node,
    startedMs: nowMs,
    answered(atMs) {
      noLongerWaits();
      become(succeed(memory.breaker, atMs));
    },
    failed: (atMs) => become(fail(memory.breaker, { startedMs: nowMs, nowMs: atMs })),
    refused(untilMs) {
      memory.busyUntilMs = untilMs;
      changes += 1;
    },
    end() {
      if (ended) return;
      ended = true;
      noLongerWaits();
      memory.own.requests -= 1;
      inFlight -= 1;
    },
  };
  memory.own.requests += 1;
  memory.own.waitingTokens += waitingTokens;
  inFlight += 1;
  if (memory.probe === null && phaseOf(memory.breaker, nowMs) === 'half_open') {
    memory.probe = self;
    changes += 1;
  }
  return self;
}

function remember(id: string, modelId: string): LocalState {
  const memory = memories.get(id);
  if (memory !== undefined) return memory;
  const fresh: LocalState = {
    modelId,
    seed: hash32(id),
    own: { requests: 0, waitingTokens: 0 },
    breaker: CLOSED,
    probe: null,
    busyUntilMs: 0,
    wasGone: false,
  };
  memories.set(id, fresh);
  return fresh;
}
