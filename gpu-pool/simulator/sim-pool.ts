/** The Pool of the simulation: heartbeats every two seconds, measured capacity, ejection; published as snapshots that age. */
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
  /** as the last heartbeat had it */
  load: NodeLoad;
  pace: Pace | null;
  weight: number | null;
  /** of its wake-up calls: an older one is void */
  version: number;
  /** fullness, summed over the snapshots */
  fullness: number;
}

/** What a router that has nothing under way itself would choose from. */
export interface PoolView {
  readonly candidates: readonly Candidate[];
  /** index of a node → its place among the candidates */
  readonly candidateIndexOf: ReadonlyMap<number, number>;
}

export class SimPool {
  readonly nodes: readonly SimNode[];
  readonly #makeEngine: (hardware: Hardware) => SimEngine;
  readonly #ageMs: number;
  #snapshots: (PoolView & { readonly atMs: number })[] = [];

  /** @param ageMs of the newest snapshot that a router can have */
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
    const up = this.nodes.filter(({ breaker }) => phaseOf(breaker, nowMs) !== 'open');
    for (const [at, weight] of nodeWeights(up).entries()) up[at]!.weight = weight;
    for (const node of this.nodes) node.fullness += node.alive ? fullnessOf(node.engine.load(nowMs)) : 0;
    this.#snapshots.push({ atMs: nowMs, ...sight(up, ({ load }) => load, nowMs) });
    // one that is old enough stays
    while (this.#snapshots.length > 1 && this.#snapshots[1]!.atMs <= nowMs - this.#ageMs)
      this.#snapshots.shift();
  }

  /** What a router sees. */
  staleView(nowMs: number): PoolView {
    return this.#snapshots.findLast(({ atMs }) => atMs <= nowMs - this.#ageMs) ?? this.#snapshots[0]!;
  }

  /** What one router at every node's side would see. */
  currentView(nowMs: number): PoolView {
    const up = this.nodes.filter(({ breaker }) => phaseOf(breaker, nowMs) !== 'open');
    return sight(up, ({ engine }) => engine.load(nowMs), nowMs);
  }

  reportFailure(node: SimNode, startedMs: number, nowMs: number): void {
    node.breaker = warmByTime(fail(node.breaker, { startedMs, nowMs }));
  }

  /** The host dies, its caches with it. @returns what it had in hand */
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

/** The larger part of KV cache and slots that is taken, and the queue on top. */
function fullnessOf(load: NodeLoad): number {
  const slots = (load.running_requests + load.waiting_requests) / load.max_running_requests;
  return Math.max(slots, (load.used_tokens + load.waiting_tokens) / load.capacity_tokens);
}

function sight(nodes: readonly SimNode[], loadOf: (node: SimNode) => NodeLoad, nowMs: number): PoolView {
  const candidates = nodes.map((node): Candidate => {
    const view = viewOf(node, loadOf(node), nowMs);
    return { node: view, seed: hash32(view.id), weight: view.weight * view.share, local: NOTHING };
  });
  return { candidates, candidateIndexOf: new Map(nodes.map(({ index }, place) => [index, place])) };
}

const NOTHING: LocalLoad = { requests: 0, waitingTokens: 0 };

function viewOf(node: SimNode, load: NodeLoad, nowMs: number): NodeView {
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
