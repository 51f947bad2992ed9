/** A Pool's surroundings at scale: nodes that report to it, and isolates that route by what it says. */
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

/** A busy node's, different each time. */
export function busyReport(at: number): NodeReport {
  return {
    engineHealthy: true,
    draining: false,
    inFlight: at % 96,
    load: {
      running_requests: at % 96,
      waiting_requests: at % 5,
      waiting_tokens: (at % 5) * 3_000,
      used_tokens: 2_000 * (at % 96) + (at % 997),
      capacity_tokens: 340_000,
      max_running_requests: 128,
      max_queued_requests: 256,
      generation_tokens_per_second: 400 + (at % 1_000) / 4,
      cache_hit_rate: (at % 100) / 100,
    },
  };
}

/** Isolates of one data center: each with a memory of its own, all behind one cache. Counts who had to look further. */
export class Isolates {
  readonly #memories: { readonly snapshots: Snapshots; last: PoolSnapshot | null }[];
  readonly #env: Env;
  readonly #modelId: string;
  /** reads that left the isolate's memory */
  refreshes = 0;
  /** of those the ones that the cache did not answer */
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

  /** @returns what it routes by, how old that is, and whether its memory did not have it */
  async read(
    at: number,
    waitUntil: (promise: Promise<unknown>) => void,
  ): Promise<{ snapshot: PoolSnapshot; ageMs: number; refreshed: boolean }> {
    const memory = this.#memories[at % this.#memories.length]!;
    const wish = { modelId: this.#modelId, nowMs: Date.now(), waitUntil };
    const snapshot = await memory.snapshots.get(this.#env, wish);
    const refreshed = snapshot !== memory.last;
    memory.last = snapshot;
    this.refreshes += refreshed ? 1 : 0;
    return { snapshot, ageMs: Date.now() - snapshot.atMs, refreshed };
  }
}
