/** A Pool at scale: many nodes that report to it, and isolates that route by its snapshots. */
import type { NodeReport, PoolSnapshot, RegisteredNode } from '../../../worker/domain/node.ts';
import type { Env } from '../../../worker/env.ts';
import { Snapshots } from '../../../worker/gateway/node/pool-snapshots.ts';

export function crowdOfNodes(count: number, modelId: string): RegisteredNode[] {
  return Array.from({ length: count }, (_, i) => ({
    id: `node_01JCROWD${String(i).padStart(18, '0')}`,
    name: `h800-pair-${i}`,
    modelId,
    hardware: '8xh800-pair',
    url: `https://10.0.${i >> 8}.${i & 255}:8443`,
    capacity: 600,
    state: 'active',
    revision: 0,
  }));
}

/** The report of a busy node, different for each `seed`. */
export function busyReport(seed: number): NodeReport {
  return {
    engineHealthy: true,
    draining: false,
    inFlight: seed % 96,
    load: {
      running_requests: seed % 96,
      waiting_requests: seed % 5,
      waiting_tokens: (seed % 5) * 3_000,
      used_tokens: 2_000 * (seed % 96) + (seed % 997),
      capacity_tokens: 340_000,
      max_running_requests: 128,
      max_queued_requests: 256,
      generation_tokens_per_second: 400 + (seed % 1_000) / 4,
      cache_hit_rate: (seed % 100) / 100,
    },
  };
}

/**
 * Isolates of one data center: each has its own memory, and all share one cache. Counts the reads that memory or
 * cache could not answer.
 */
export class Isolates {
  readonly #memories: { readonly snapshots: Snapshots; last: PoolSnapshot | null }[];
  readonly #env: Env;
  readonly #modelId: string;
  /** Reads that the isolate's memory could not answer. */
  refreshes = 0;
  /** Those of them that the cache could not answer either. */
  poolCalls = 0;

  constructor(count: number, { env, modelId }: { env: Env; modelId: string }) {
    this.#memories = Array.from({ length: count }, () => ({ snapshots: new Snapshots(), last: null }));
    this.#modelId = modelId;
    const pool = env.POOL.getByName(modelId);
    const counted = {
      snapshotText: () => {
        this.poolCalls += 1;
        return pool.snapshotText();
      },
    };
    this.#env = { ...env, POOL: { getByName: () => counted } as unknown as Env['POOL'] };
  }

  /** Reads the snapshot in one isolate. @returns it, its age, and whether it was not in the isolate's memory */
  async read(
    isolate: number,
    waitUntil: (promise: Promise<unknown>) => void,
  ): Promise<{ snapshot: PoolSnapshot; ageMs: number; refreshed: boolean }> {
    const memory = this.#memories[isolate % this.#memories.length]!;
    const options = { modelId: this.#modelId, nowMs: Date.now(), waitUntil };
    const snapshot = await memory.snapshots.get(this.#env, options);
    const refreshed = snapshot !== memory.last;
    memory.last = snapshot;
    this.refreshes += refreshed ? 1 : 0;
    return { snapshot, ageMs: Date.now() - snapshot.atMs, refreshed };
  }
}
