/**
 * The Pool of the simulation: heartbeats every two seconds, measured capacity and ejection, published as snapshots
 * that age.
 */
import type { NodeView } from '../../worker/domain/node.ts';
import { CAPACITY_TOKENS_PER_SECOND } from '../../worker/domain/node-capacity.ts';
import {
  type Breaker,
  CLOSED,
  comeBack,
  fail,
  phaseOf,
  shareOf,
  warmByTime,
} from '../../worker/domain/routing/breaker.ts';
import { hash32 } from '../../worker/domain/routing/hash.ts';
import { learnPace, nodeWeights, type Pace } from '../../worker/domain/routing/measured-capacity.ts';
import type { Candidate, LocalLoad } from '../../worker/domain/routing/policy.ts';
import type { Profile } from '../emulator/profiles.ts';
import { type Hardware, HEARTBEAT_INTERVAL_MS, type NodeLoad } from '../protocol/schemas.ts';
import { SimEngine } from './sim-engine.ts';

/** How often the Pool makes a new snapshot. */
export const PUBLISH_MS = 500;

export interface SimNode {
  readonly index: number;
  readonly id: string;
  readonly hardware: Hardware;
  readonly capacity: number;
  engine: SimEngine;
  alive: boolean;
  breaker: Breaker;
  /** The load that the last heartbeat reported. */
  load: NodeLoad;
  pace: Pace | null;
  weight: number | null;
  /** Version of the engine's scheduled event: an older one is void. */
  version: number;
  /** Fullness, summed over the snapshots. */
  fullness: number;
}

/** The candidates of a router that has no requests of its own under way. */
export interface PoolView {
  readonly candidates: readonly Candidate[];
  /** Index of a node → its index among the candidates. */
  readonly candidateIndexOf: ReadonlyMap<number, number>;
}

export class SimPool {
  readonly nodes: readonly SimNode[];
  readonly #makeEngine: (hardware: Hardware) => SimEngine;
  readonly #ageMs: number;
  #snapshots: (PoolView & { readonly atMs: number })[] = [];

  /** @param ageMs age of the newest snapshot that a router can have */
  constructor(
    hardware: readonly Hardware[],
    options: { profiles: Record<Hardware, Profile>; queuedMax: number; ageMs: number },
  ) {
    this.#makeEngine = (each) => new SimEngine(options.profiles[each], options.queuedMax);
    this.#ageMs = options.ageMs;
    this.nodes = hardware.map((each, index) => {
      const engine = this.#makeEngine(each);
      return {
        index,
        id: `node_${index}`,
        hardware: each,
        capacity: CAPACITY_TOKENS_PER_SECOND[each],
        engine,
        alive: true,
        breaker: CLOSED,
        load: engine.load(0),
        pace: null,
        weight: null,
        version: 0,
        fullness: 0,
      };
    });
    this.publish(0);
  }

  heartbeat(node: SimNode, nowMs: number): void {
    if (!node.alive) return;
    node.load = node.engine.load(nowMs);
    node.pace = learnPace(node.pace, node.load, HEARTBEAT_INTERVAL_MS);
  }

  publish(nowMs: number): void {
    const available = this.nodes.filter(({ breaker }) => phaseOf(breaker, nowMs) !== 'open');
    for (const [index, weight] of nodeWeights(available).entries()) available[index]!.weight = weight;
    for (const node of this.nodes) node.fullness += node.alive ? fullnessOf(node.engine.load(nowMs)) : 0;
    this.#snapshots.push({ atMs: nowMs, ...poolView(available, ({ load }) => load, nowMs) });
    // The newest snapshot that is old enough stays.
    while (this.#snapshots.length > 1 && this.#snapshots[1]!.atMs <= nowMs - this.#ageMs)
      this.#snapshots.shift();
  }

  /** The snapshot that a router has. */
  staleView(nowMs: number): PoolView {
    return this.#snapshots.findLast(({ atMs }) => atMs <= nowMs - this.#ageMs) ?? this.#snapshots[0]!;
  }

  /** The view of one router that sees every node's current state. */
  currentView(nowMs: number): PoolView {
    const available = this.nodes.filter(({ breaker }) => phaseOf(breaker, nowMs) !== 'open');
    return poolView(available, ({ engine }) => engine.load(nowMs), nowMs);
  }

  reportFailure(node: SimNode, startedMs: number, nowMs: number): void {
    node.breaker = warmByTime(fail(node.breaker, { startedMs, nowMs }));
  }

  /** The host dies, and its caches with it. @returns the requests that it had */
  kill(node: SimNode) {
    const jobs = node.engine.requests;
    node.alive = false;
    node.version += 1;
    node.engine = this.#makeEngine(node.hardware);
    return jobs;
  }

  restore(node: SimNode, { goneAtMs, nowMs }: { goneAtMs: number; nowMs: number }): void {
    node.alive = true;
    node.breaker = comeBack(node.breaker, { goneAtMs, nowMs });
    this.heartbeat(node, nowMs);
  }
}

export function indexOf({ id }: Pick<NodeView, 'id'>): number {
  return Number(id.slice('node_'.length));
}

/** The larger occupied share of KV cache and slots, queue included. */
function fullnessOf(load: NodeLoad): number {
  const slots = (load.running_requests + load.waiting_requests) / load.max_running_requests;
  return Math.max(slots, (load.used_tokens + load.waiting_tokens) / load.capacity_tokens);
}

function poolView(nodes: readonly SimNode[], loadOf: (node: SimNode) => NodeLoad, nowMs: number): PoolView {
  const candidates = nodes.map((node): Candidate => {
    const view = nodeView(node, loadOf(node), nowMs);
    return { node: view, seed: hash32(view.id), weight: view.weight * view.share, local: NO_LOCAL_LOAD };
  });
  return { candidates, candidateIndexOf: new Map(nodes.map(({ index }, place) => [index, place])) };
}

const NO_LOCAL_LOAD: LocalLoad = { requests: 0, waitingTokens: 0 };

function nodeView(node: SimNode, load: NodeLoad, nowMs: number): NodeView {
  const { id, hardware, capacity, breaker } = node;
  return {
    id,
    name: id,
    modelId: 'simulated',
    hardware,
    url: '',
    capacity,
    weight: node.weight ?? capacity,
    state: 'active',
    revision: 0,
    health: 'up',
    share: shareOf(breaker, nowMs),
    draining: false,
    lastHeartbeatMs: nowMs,
    inFlight: 0,
    load,
  };
}
