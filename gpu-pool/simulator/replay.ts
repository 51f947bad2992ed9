/** Replays a trace through a policy: many isolates, each with a snapshot that is some seconds old, over simulated engines. */
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
  /** of each node */
  readonly hardware: readonly Hardware[];
  readonly policySetup: PolicySetup;
  readonly isolates: number;
  readonly snapshotAgeMs: number;
  readonly queuedMax: number;
  readonly seed: number;
  readonly outage?: Outage | undefined;
  readonly profiles?: Record<Hardware, Profile>;
}

/** A share of the nodes dies at a moment, caches and all, and comes back later. */
export interface Outage {
  readonly atMs: number;
  readonly share: number;
  readonly forMs: number;
}

/** Of each hardware its part. @returns places in `hardware` */
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

/** What became of one request. */
export interface RequestOutcome {
  readonly request: TraceRequest;
  /** served: whole · refused: before its first token, the client may ask again · broken: after it */
  end: 'served' | 'refused' | 'broken';
  /** that answered */
  node: number | null;
  attempts: number;
  cachedTokens: number;
  ttftMs: number | null;
  /** all tokens after the first */
  decodeMs: number | null;
}

export interface ReplayResult {
  readonly outcomes: readonly RequestOutcome[];
  /** mean fullness of each node over the whole run */
  readonly fullness: readonly number[];
  /** nodes that an outage killed, and tokens that were in their caches */
  readonly struck: number;
  readonly lostTokens: number;
}

const ATTEMPTS_MAX = 3;
/** The edge tells the Wallet where an answer is made when it renews the lease of its hold (gateway/purse.ts) or at its end. */
const HEARD_AFTER_MS = 50_000;

type Event = { readonly atMs: number } & (
  | { readonly kind: 'arrival'; readonly at: number }
  | { readonly kind: 'engine'; readonly node: SimNode; readonly version: number }
  | { readonly kind: 'heartbeat'; readonly node: SimNode }
  | { readonly kind: 'home'; readonly request: TraceRequest; readonly nodeId: string }
  | { readonly kind: 'publish' | 'outage' | 'return' }
);

/** One edge isolate, or the one router: what it remembers is its own. */
interface Isolate {
  readonly policy: SimPolicy;
  /** by node, where there is something to know */
  readonly own: Map<number, { requests: number; waitingTokens: number }>;
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
  /** what the accounts' Wallets remember of conversations */
  readonly #homes = new Map<number, HomeNode>();
  readonly #random: () => number;
  #nowMs = 0;
  #running: number;
  #published = 0;
  #lostTokens = 0;

  constructor(options: ReplayOptions) {
    const { hardware, policySetup, queuedMax, profiles = PROFILES } = options;
    this.#options = options;
    this.#random = createRandom(`replay ${options.seed}`);
    this.#pool = new SimPool(hardware, { profiles, queuedMax, ageMs: options.snapshotAgeMs });
    this.#isolates = Array.from({ length: policySetup.oneRouter ? 1 : options.isolates }, () => ({
      policy: policySetup.make(this.#random),
      own: new Map(),
      breakers: new Map(),
    }));
    this.#running = options.trace.length;
  }

  run(): ReplayResult {
    const { trace, outage } = this.#options;
    const outcomes = trace.map(unserved);
    for (const node of this.#pool.nodes) {
      this.#events.push({ kind: 'heartbeat', node, atMs: this.#random() * HEARTBEAT_INTERVAL_MS });
    }
    this.#events.push({ kind: 'publish', atMs: PUBLISH_MS });
    this.#events.push({ kind: 'arrival', at: 0, atMs: trace[0]!.atMs });
    if (outage) {
      this.#events.push({ kind: 'outage', atMs: outage.atMs });
      this.#events.push({ kind: 'return', atMs: outage.atMs + outage.forMs });
    }
    for (let event = this.#events.pop(); event && this.#running > 0; event = this.#events.pop()) {
      this.#nowMs = event.atMs;
      this.#handle(event, outcomes);
    }
    const fullness = this.#pool.nodes.map((node) => node.fullness / this.#published);
    return { outcomes, fullness, struck: this.#struck().length, lostTokens: this.#lostTokens };
  }

  #handle(event: Event, outcomes: readonly RequestOutcome[]): void {
    const { atMs } = event;
    switch (event.kind) {
      case 'arrival': {
        const next = outcomes[event.at + 1];
        if (next) this.#events.push({ kind: 'arrival', at: event.at + 1, atMs: next.request.atMs });
        const isolate = this.#isolates[Math.floor(this.#random() * this.#isolates.length)]!;
        this.#forward(outcomes[event.at]!, isolate, new Set());
        break;
      }
      case 'engine':
        if (event.version !== event.node.version) break;
        event.node.engine.advance(atMs);
        this.#wake(event.node);
        break;
      case 'heartbeat':
        this.#pool.heartbeat(event.node, atMs);
        this.#events.push({ ...event, atMs: atMs + HEARTBEAT_INTERVAL_MS });
        break;
      case 'home':
        this.#homes.set(conversationOf(event.request), {
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
        for (const node of this.#struck()) {
          this.#lostTokens += node.engine.cache.tokens;
          for (const job of this.#pool.kill(node)) job.onLost();
        }
        break;
      case 'return': {
        const goneAtMs = this.#options.outage!.atMs;
        for (const node of this.#struck()) this.#pool.restore(node, { goneAtMs, nowMs: atMs });
        break;
      }
    }
  }

  #struck(): SimNode[] {
    const { outage, hardware } = this.#options;
    const struck = outage ? failedNodeIndexes(outage, hardware) : new Set();
    return this.#pool.nodes.filter(({ index }) => struck.has(index));
  }

  /** As the gateway does: another node each time, as long as no token has come. */
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
    this.#running -= 1;
  }

  #candidates(isolate: Isolate, tried: ReadonlySet<number>): readonly Candidate[] {
    const { policySetup } = this.#options;
    const known = policySetup.oneRouter
      ? this.#pool.currentView(this.#nowMs)
      : this.#pool.staleView(this.#nowMs);
    const all = [...known.candidates];
    for (const [index, local] of isolate.own) {
      const at = known.candidateIndexOf.get(index);
      if (at !== undefined) all[at] = { ...all[at]!, local };
    }
    if (isolate.breakers.size === 0 && tried.size === 0) return all;
    return all.filter(({ node }) => {
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
    const own = isolate.own.get(node.index) ?? { requests: 0, waitingTokens: 0 };
    const startedMs = this.#nowMs;
    let firstTokenAtMs: number | null = null;
    const leave = () => {
      own.requests -= 1;
      if (own.requests === 0) isolate.own.delete(node.index);
      if (firstTokenAtMs === null) own.waitingTokens -= request.promptTokens;
    };
    const job: SimEngineRequest = {
      request,
      onFirstToken: (atMs, cachedTokens) => {
        firstTokenAtMs = atMs;
        own.waitingTokens -= request.promptTokens;
        Object.assign(outcome, { node: node.index, cachedTokens, ttftMs: atMs - request.atMs });
        const heardAtMs = atMs + Math.min(HEARD_AFTER_MS, request.outputTokens * node.engine.stepMs);
        this.#events.push({ kind: 'home', request, nodeId: node.id, atMs: heardAtMs });
      },
      onEnd: (atMs) => {
        leave();
        Object.assign(outcome, { end: 'served', decodeMs: atMs - firstTokenAtMs! });
        this.#running -= 1;
      },
      onLost: () => {
        leave();
        this.#noteFailure(isolate, node, startedMs);
        if (firstTokenAtMs === null) {
          this.#forward(outcome, isolate, tried);
          return;
        }
        outcome.end = 'broken';
        this.#running -= 1;
      },
    };
    if (node.engine.submit(job, this.#nowMs) === 'queue_full') return false;
    isolate.own.set(node.index, own);
    own.requests += 1;
    own.waitingTokens += request.promptTokens;
    this.#wake(node);
    return true;
  }

  /** The engine's next moment may be another one now. */
  #wake(node: SimNode): void {
    node.version += 1;
    const atMs = node.engine.nextAtMs;
    if (atMs !== null) this.#events.push({ kind: 'engine', node, version: node.version, atMs });
  }

  #requestOf(request: TraceRequest): SimRequest {
    const { blocks, promptTokens } = request;
    const home = this.#homes.get(conversationOf(request)) ?? null;
    return {
      affinity: conversationOf(request),
      promptTokens,
      home: home && { ...home, cachedTokens: Math.min(home.cachedTokens, promptTokens) },
      blocks,
      cachedAt: ({ node }) => this.#pool.nodes[indexOf(node)]!.engine.cache.match(blocks),
    };
  }
}

function unserved(request: TraceRequest): RequestOutcome {
  return { request, end: 'refused', node: null, attempts: 0, cachedTokens: 0, ttftMs: null, decodeMs: null };
}
