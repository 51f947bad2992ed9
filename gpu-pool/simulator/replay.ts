/**
 * Replays a trace through a policy: many isolates, each with a snapshot that is some seconds old, over simulated
 * engines.
 */
import { type Breaker, CLOSED, fail, phaseOf } from '../../worker/domain/routing/breaker.ts';
import type { Candidate, HomeNode } from '../../worker/domain/routing/policy.ts';
import { PROFILES, type Profile } from '../emulator/profiles.ts';
import { createRandom } from '../emulator/random.ts';
import { type Hardware, HEARTBEAT_INTERVAL_MS } from '../protocol/schemas.ts';
import type { SimPolicy, SimRequest } from './baselines/request.ts';
import { MinHeap } from './min-heap.ts';
import type { PolicySetup } from './policies.ts';
import type { SimEngineRequest } from './sim-engine.ts';
import { indexOf, PUBLISH_MS, type SimNode, SimPool } from './sim-pool.ts';
import { conversationOf, type TraceRequest } from './trace.ts';

export interface ReplayOptions {
  readonly trace: readonly TraceRequest[];
  /** Hardware of each node. */
  readonly hardware: readonly Hardware[];
  readonly policySetup: PolicySetup;
  readonly isolates: number;
  readonly snapshotAgeMs: number;
  readonly queuedMax: number;
  readonly seed: number;
  readonly outage?: Outage | undefined;
  readonly profiles?: Record<Hardware, Profile>;
}

/** A share of the nodes dies at one moment, with their caches, and comes back later. */
export interface Outage {
  readonly atMs: number;
  readonly share: number;
  readonly forMs: number;
}

/** The nodes that an outage kills, which are the same share of each hardware. @returns indexes of `hardware` */
export function failedNodeIndexes({ share }: Outage, hardware: readonly Hardware[]): Set<number> {
  const seen = new Map<Hardware, number>();
  return new Set(
    hardware.flatMap((each, index) => {
      const before = seen.get(each) ?? 0;
      seen.set(each, before + 1);
      return Math.round((before + 1) * share) > Math.round(before * share) ? [index] : [];
    }),
  );
}

/** The result of one request. */
export interface RequestOutcome {
  readonly request: TraceRequest;
  /** served: complete · refused: before its first token, so the client may retry · broken: after its first token */
  end: 'served' | 'refused' | 'broken';
  /** Index of the node that answered. */
  node: number | null;
  attempts: number;
  cachedTokens: number;
  ttftMs: number | null;
  /** Time of all tokens after the first. */
  decodeMs: number | null;
}

export interface ReplayResult {
  readonly outcomes: readonly RequestOutcome[];
  /** Mean fullness of each node over the whole run. */
  readonly fullness: readonly number[];
  /** Nodes that an outage killed, and the tokens that their caches held. */
  readonly nodesLost: number;
  readonly lostTokens: number;
}

const ATTEMPTS_MAX = 3;
/**
 * The edge tells the Wallet which node serves a conversation when it renews the lease of its hold
 * (worker/gateway/hold/) or at the answer's end.
 */
const HOME_REPORTED_AFTER_MS = 50_000;

type Event = { readonly atMs: number } & (
  | { readonly kind: 'arrival'; readonly index: number }
  | { readonly kind: 'engine'; readonly node: SimNode; readonly version: number }
  | { readonly kind: 'heartbeat'; readonly node: SimNode }
  | { readonly kind: 'home'; readonly request: TraceRequest; readonly nodeId: string }
  | { readonly kind: 'publish' | 'outage' | 'return' }
);

/** One edge isolate, or the single router; its memory is its local. */
interface Isolate {
  readonly policy: SimPolicy;
  /** Load by node index, for nodes at which this isolate has requests. */
  readonly localLoad: Map<number, { requests: number; waitingTokens: number }>;
  readonly breakers: Map<number, Breaker>;
}

export function replay(options: ReplayOptions): ReplayResult {
  return new Replay(options).run();
}

class Replay {
  readonly #options: ReplayOptions;
  readonly #events = new MinHeap<Event>(({ atMs }) => atMs);
  readonly #pool: SimPool;
  readonly #isolates: readonly Isolate[];
  /** Home nodes of conversations, which the accounts' Wallets remember. */
  readonly #homeNodes = new Map<number, HomeNode>();
  readonly #random: () => number;
  #nowMs = 0;
  #unfinished: number;
  #published = 0;
  #lostTokens = 0;

  constructor(options: ReplayOptions) {
    const { hardware, policySetup, queuedMax, profiles = PROFILES } = options;
    this.#options = options;
    this.#random = createRandom(`replay ${options.seed}`);
    this.#pool = new SimPool(hardware, { profiles, queuedMax, ageMs: options.snapshotAgeMs });
    this.#isolates = Array.from({ length: policySetup.oneRouter ? 1 : options.isolates }, () => ({
      policy: policySetup.make(this.#random),
      localLoad: new Map(),
      breakers: new Map(),
    }));
    this.#unfinished = options.trace.length;
  }

  run(): ReplayResult {
    const { trace, outage } = this.#options;
    const outcomes = trace.map(initialOutcome);
    for (const node of this.#pool.nodes) {
      this.#events.push({ kind: 'heartbeat', node, atMs: this.#random() * HEARTBEAT_INTERVAL_MS });
    }
    this.#events.push({ kind: 'publish', atMs: PUBLISH_MS });
    this.#events.push({ kind: 'arrival', index: 0, atMs: trace[0]!.atMs });
    if (outage) {
      this.#events.push({ kind: 'outage', atMs: outage.atMs });
      this.#events.push({ kind: 'return', atMs: outage.atMs + outage.forMs });
    }
    for (let event = this.#events.pop(); event && this.#unfinished > 0; event = this.#events.pop()) {
      this.#nowMs = event.atMs;
      this.#handle(event, outcomes);
    }
    const fullness = this.#pool.nodes.map((node) => node.fullness / this.#published);
    return { outcomes, fullness, nodesLost: this.#failedNodes().length, lostTokens: this.#lostTokens };
  }

  #handle(event: Event, outcomes: readonly RequestOutcome[]): void {
    const { atMs } = event;
    switch (event.kind) {
      case 'arrival': {
        const next = outcomes[event.index + 1];
        if (next) this.#events.push({ kind: 'arrival', index: event.index + 1, atMs: next.request.atMs });
        const isolate = this.#isolates[Math.floor(this.#random() * this.#isolates.length)]!;
        this.#forward(outcomes[event.index]!, isolate, new Set());
        break;
      }
      case 'engine':
        if (event.version !== event.node.version) break;
        event.node.engine.advance(atMs);
        this.#scheduleEngine(event.node);
        break;
      case 'heartbeat':
        this.#pool.heartbeat(event.node, atMs);
        this.#events.push({ ...event, atMs: atMs + HEARTBEAT_INTERVAL_MS });
        break;
      case 'home':
        this.#homeNodes.set(conversationOf(event.request), {
          nodeId: event.nodeId,
          cachedTokens: event.request.promptTokens,
        });
        break;
      case 'publish':
        this.#pool.publish(atMs);
        this.#published += 1;
        this.#events.push({ kind: 'publish', atMs: atMs + PUBLISH_MS });
        break;
      case 'outage':
        for (const node of this.#failedNodes()) {
          this.#lostTokens += node.engine.cache.tokens;
          for (const engineRequest of this.#pool.kill(node)) engineRequest.onLost();
        }
        break;
      case 'return': {
        const goneAtMs = this.#options.outage!.atMs;
        for (const node of this.#failedNodes()) this.#pool.restore(node, { goneAtMs, nowMs: atMs });
        break;
      }
    }
  }

  #failedNodes(): SimNode[] {
    const { outage, hardware } = this.#options;
    const failed = outage ? failedNodeIndexes(outage, hardware) : new Set();
    return this.#pool.nodes.filter(({ index }) => failed.has(index));
  }

  /** Forwards a request as the gateway does: to another node each time, as long as no token has come. */
  #forward(outcome: RequestOutcome, isolate: Isolate, tried: Set<number>): void {
    while (tried.size < ATTEMPTS_MAX) {
      const chosen = isolate.policy(this.#candidates(isolate, tried), this.#requestOf(outcome.request));
      if (chosen === null) break;
      const node = this.#pool.nodes[indexOf(chosen.node)]!;
      tried.add(node.index);
      outcome.attempts += 1;
      if (!node.alive) this.#noteFailure(isolate, node, this.#nowMs);
      else if (this.#send(outcome, isolate, node, tried)) return;
    }
    this.#unfinished -= 1;
  }

  #candidates(isolate: Isolate, tried: ReadonlySet<number>): readonly Candidate[] {
    const { policySetup } = this.#options;
    const view = policySetup.oneRouter
      ? this.#pool.currentView(this.#nowMs)
      : this.#pool.staleView(this.#nowMs);
    const candidates = [...view.candidates];
    for (const [nodeIndex, local] of isolate.localLoad) {
      const index = view.candidateIndexOf.get(nodeIndex);
      if (index !== undefined) candidates[index] = { ...candidates[index]!, local };
    }
    if (isolate.breakers.size === 0 && tried.size === 0) return candidates;
    return candidates.filter(({ node }) => {
      const breaker = isolate.breakers.get(indexOf(node));
      const isOpen = breaker !== undefined && phaseOf(breaker, this.#nowMs) === 'open';
      return !isOpen && !tried.has(indexOf(node));
    });
  }

  #noteFailure(isolate: Isolate, node: SimNode, startedMs: number): void {
    const failure = { startedMs, nowMs: this.#nowMs };
    isolate.breakers.set(node.index, fail(isolate.breakers.get(node.index) ?? CLOSED, failure));
    this.#pool.reportFailure(node, startedMs, this.#nowMs);
  }

  /** @returns false where the queue is full */
  #send(outcome: RequestOutcome, isolate: Isolate, node: SimNode, tried: Set<number>): boolean {
    const { request } = outcome;
    const local = isolate.localLoad.get(node.index) ?? { requests: 0, waitingTokens: 0 };
    const startedMs = this.#nowMs;
    let firstTokenAtMs: number | null = null;
    const release = () => {
      local.requests -= 1;
      if (local.requests === 0) isolate.localLoad.delete(node.index);
      if (firstTokenAtMs === null) local.waitingTokens -= request.promptTokens;
    };
    const engineRequest: SimEngineRequest = {
      request,
      onFirstToken: (atMs, cachedTokens) => {
        firstTokenAtMs = atMs;
        local.waitingTokens -= request.promptTokens;
        Object.assign(outcome, { node: node.index, cachedTokens, ttftMs: atMs - request.atMs });
        const reportedAtMs =
          atMs + Math.min(HOME_REPORTED_AFTER_MS, request.outputTokens * node.engine.stepMs);
        this.#events.push({ kind: 'home', request, nodeId: node.id, atMs: reportedAtMs });
      },
      onEnd: (atMs) => {
        release();
        Object.assign(outcome, { end: 'served', decodeMs: atMs - firstTokenAtMs! });
        this.#unfinished -= 1;
      },
      onLost: () => {
        release();
        this.#noteFailure(isolate, node, startedMs);
        if (firstTokenAtMs === null) {
          this.#forward(outcome, isolate, tried);
          return;
        }
        outcome.end = 'broken';
        this.#unfinished -= 1;
      },
    };
    if (node.engine.submit(engineRequest, this.#nowMs) === 'queue_full') return false;
    isolate.localLoad.set(node.index, local);
    local.requests += 1;
    local.waitingTokens += request.promptTokens;
    this.#scheduleEngine(node);
    return true;
  }

  /** Schedules the engine's next event, which may have moved; older events of the engine become void. */
  #scheduleEngine(node: SimNode): void {
    node.version += 1;
    const atMs = node.engine.nextAtMs;
    if (atMs !== null) this.#events.push({ kind: 'engine', node, version: node.version, atMs });
  }

  #requestOf(request: TraceRequest): SimRequest {
    const { blocks, promptTokens } = request;
    const home = this.#homeNodes.get(conversationOf(request)) ?? null;
    return {
      affinity: conversationOf(request),
      promptTokens,
      home: home && { ...home, cachedTokens: Math.min(home.cachedTokens, promptTokens) },
      blocks,
      cachedAt: ({ node }) => this.#pool.nodes[indexOf(node)]!.engine.cache.match(blocks),
    };
  }
}

function initialOutcome(request: TraceRequest): RequestOutcome {
  return { request, end: 'refused', node: null, attempts: 0, cachedTokens: 0, ttftMs: null, decodeMs: null };
}
