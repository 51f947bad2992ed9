/**
 * What a request costs in calls and rows, counted and not timed: the production bundle with counters (counting-entry.ts)
 * answers a number of requests, and is counted when it is at rest, with all told and every receipt taken.
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
  /** of `bundle` in gpu-pool/local/edge.ts */
  readonly script: string;
  /** a folder of its own, empty or not there */
  readonly dir: string;
  readonly requests: number;
  readonly connections: number;
  /** name of one of workloads.ts; absent: small, unstreamed */
  readonly workload?: string;
  /** absent: four nodes and one key */
  readonly world?: World;
}

/** Of the counted requests, warm; heartbeats and all else that went on meanwhile are among it. */
export interface Counts extends RawCounts {
  /** of the counted requests */
  readonly answered: number;
  /** from the first until all was at rest */
  readonly seconds: number;
}

const COUNT_WITHIN_S = 300;
/** Isolate, caches and lease: what only the first requests cost is not a request's price. */
export const WARM_UP_REQUESTS = 200;
/** For what is written behind what can be seen from outside. */
const REST_MS = 2_000;

/** @throws Error when an answer is wrong, or something is not settled, told and taken in the end */
export async function countRequests(order: CountOrder): Promise<Counts> {
  const { script, dir, requests, connections, world = SMALL_WORLD } = order;
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
      await ask(WARM_UP_REQUESTS, { afterKey: 0 });
      const before = await counted();
      const startedMs = Date.now();
      const { answered } = await ask(requests, { afterKey: WARM_UP_REQUESTS });
      const after = await counted();
      return { ...difference(after, before), answered, seconds: (Date.now() - startedMs) / 1_000 };
    } finally {
      await tollgate.stop();
    }
  } finally {
    await Promise.all([load.stop(), upstream.stop()]);
  }
}

/** The bundle, and the entry that counts what it does. */
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
    const of: ObjectCounts = {
      calls: differences(a.calls, b.calls),
      alarms: a.alarms - b.alarms,
      rowsWritten: a.rowsWritten - b.rowsWritten,
      rowsRead: a.rowsRead - b.rowsRead,
      activeMs: a.activeMs - b.activeMs,
    };
    return [name, of] as const;
  });
  return {
    objects: Object.fromEntries(objects) as Record<ObjectName, ObjectCounts>,
    d1: {
      queries: after.d1.queries - before.d1.queries,
      rowsRead: after.d1.rowsRead - before.d1.rowsRead,
      rowsWritten: after.d1.rowsWritten - before.d1.rowsWritten,
    },
    queued: after.queued - before.queued,
    requests: differences(after.requests, before.requests),
  };
}

function differences(after: Record<string, number>, before: Record<string, number>): Record<string, number> {
  const entries = Object.entries(after).map(([name, count]) => [name, count - (before[name] ?? 0)] as const);
  return Object.fromEntries(entries.filter(([, count]) => count > 0));
}

/** All calls of an object's class, alarms left out. */
export function callsOf({ calls }: ObjectCounts): number {
  return Object.values(calls).reduce((sum, count) => sum + count, 0);
}

/** In all stores. */
export function rowsWritten({ objects, d1 }: RawCounts): number {
  return OBJECTS.reduce((sum, name) => sum + objects[name].rowsWritten, d1.rowsWritten);
}

export function rowsRead({ objects, d1 }: RawCounts): number {
  return OBJECTS.reduce((sum, name) => sum + objects[name].rowsRead, d1.rowsRead);
}
