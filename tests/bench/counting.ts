/**
 * Counts the calls and rows that a request costs. The production bundle with counters (counting-entry.ts) answers a
 * number of requests, and the counters are read when all is settled, D1 is up to date and every receipt is acknowledged.
 */
import { cpSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { build } from 'esbuild';
import { modulesOf } from '../../gpu-pool/local/modules.ts';
import { COUNTS_PATH, OBJECTS, type ObjectCounts, type ObjectName, type RawCounts } from './counts.ts';
import { startLoad } from './load.ts';
import { measure } from './measure.ts';
import type { World } from './seed.ts';
import { SMALL_WORLD, startTollgate } from './systems/tollgate.ts';
import { startUpstream } from './upstream.ts';
import { workloadNamed } from './workloads.ts';

export interface CountOrder {
  /** The path of the bundled Worker (`bundle` in gpu-pool/local/edge.ts). */
  readonly script: string;
  /** A folder that is empty or does not exist. */
  readonly dir: string;
  readonly requests: number;
  readonly connections: number;
  /** The name of a workload; absent: small, unstreamed */
  readonly workload?: string;
  /** absent: four nodes and one key */
  readonly world?: World;
  /** Requests before the counted ones; absent: WARM_UP_REQUESTS */
  readonly warmUp?: number;
}

/** The counts of the requests after the warm-up. They include heartbeats and other background work of that time. */
export interface Counts extends RawCounts {
  /** The number of counted requests. */
  readonly answered: number;
  /** CPU time of a counted request, that of the counters included; null: not known on this platform */
  readonly cpuMsPerRequest: number | null;
  /** The time from the first request until nothing was pending. */
  readonly seconds: number;
}

const COUNT_WITHIN_S = 300;
/** The first requests start the isolate and fill caches and leases, which is not the cost of a typical request. */
export const WARM_UP_REQUESTS = 200;
/** The wait for writes that are not visible from outside. */
const REST_MS = 2_000;

/** @throws Error when an answer is wrong, or something stays pending in the end */
export async function countRequests(order: CountOrder): Promise<Counts> {
  const { script, dir, requests, connections, world = SMALL_WORLD, warmUp = WARM_UP_REQUESTS } = order;
  const workload = workloadNamed(order.workload ?? 'small');
  const modules = await countingModules(script, join(dir, 'counting'));
  const upstream = await startUpstream();
  const load = startLoad();
  try {
    const tollgate = await startTollgate({ dir: join(dir, 'state'), modules, world, upstream });
    try {
      const counted = async () => {
        await wait(REST_MS);
        const response = await fetch(`http://127.0.0.1:${tollgate.port}${COUNTS_PATH}`);
        return (await response.json()) as RawCounts;
      };
      const ask = (count: number, { afterKey }: { afterKey: number }) => {
        const at = afterKey % tollgate.keys.length;
        const keys = [...tollgate.keys.slice(at), ...tollgate.keys.slice(0, at)];
        const order = { workload, connections, seconds: COUNT_WITHIN_S, requests: count };
        return measure(load, { ...tollgate, keys }, order);
      };
      await ask(warmUp, { afterKey: 0 });
      const before = await counted();
      const startedMs = Date.now();
      const { answered, cpuMs } = await ask(requests, { afterKey: warmUp });
      const after = await counted();
      return {
        ...difference(after, before),
        answered,
        cpuMsPerRequest: cpuMs === null ? null : cpuMs / answered,
        seconds: (Date.now() - startedMs) / 1_000,
      };
    } finally {
      await tollgate.stop();
    }
  } finally {
    await Promise.all([load.stop(), upstream.stop()]);
  }
}

/** Copies the bundle and builds the counting entry beside it. @returns their modules, the entry first */
async function countingModules(script: string, dir: string): Promise<string[]> {
  cpSync(dirname(script), dir, { recursive: true });
  const bundle = modulesOf(join(dir, basename(script)));
  const entry = join(dir, 'counting.js');
  await build({
    entryPoints: [join(import.meta.dirname, 'counting-entry.ts')],
    outfile: entry,
    bundle: true,
    format: 'esm',
    target: 'es2024',
    external: ['./index.js'],
    logLevel: 'warning',
  });
  return [entry, ...bundle];
}

function difference(after: RawCounts, before: RawCounts): RawCounts {
  const objects = OBJECTS.map((name) => {
    const [a, b] = [after.objects[name], before.objects[name]];
    const counts: ObjectCounts = {
      calls: differences(a.calls, b.calls),
      alarms: a.alarms - b.alarms,
      rowsWritten: a.rowsWritten - b.rowsWritten,
      rowsRead: a.rowsRead - b.rowsRead,
      written: differences(a.written, b.written),
      activeMs: a.activeMs - b.activeMs,
    };
    return [name, counts] as const;
  });
  return {
    objects: Object.fromEntries(objects) as Record<ObjectName, ObjectCounts>,
    d1: {
      queries: after.d1.queries - before.d1.queries,
      rowsRead: after.d1.rowsRead - before.d1.rowsRead,
      rowsWritten: after.d1.rowsWritten - before.d1.rowsWritten,
      written: differences(after.d1.written, before.d1.written),
    },
    queued: after.queued - before.queued,
    requests: differences(after.requests, before.requests),
  };
}

function differences(after: Record<string, number>, before: Record<string, number>): Record<string, number> {
  const entries = Object.entries(after).map(([name, count]) => [name, count - (before[name] ?? 0)] as const);
  return Object.fromEntries(entries.filter(([, count]) => count > 0));
}

/** All calls of a Durable Object class, without alarms. */
export function callsOf({ calls }: ObjectCounts): number {
  return Object.values(calls).reduce((sum, count) => sum + count, 0);
}

/** The rows written in all stores. */
export function rowsWritten({ objects, d1 }: RawCounts): number {
  return OBJECTS.reduce((sum, name) => sum + objects[name].rowsWritten, d1.rowsWritten);
}

export function rowsRead({ objects, d1 }: RawCounts): number {
  return OBJECTS.reduce((sum, name) => sum + objects[name].rowsRead, d1.rowsRead);
}
