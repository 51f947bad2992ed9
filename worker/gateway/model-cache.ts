/**
 * Models and pools as the isolate caches them between requests. Each cache is bounded and states how stale it may be. None
 * holds a promise: a promise of one request must not be awaited by another.
 */

import { loadCatalogue, type Model } from '../db/catalogue.ts';
import { database } from '../db/client.ts';
import type { PoolSnapshot } from '../domain/node.ts';
import type { Env } from '../env.ts';
import { TtlCache } from '../lib/ttl-cache.ts';
import { Snapshots, type WaitUntil } from './node/pool-snapshots.ts';

/** A new price or model is in effect everywhere within this time of being written. */
const CATALOGUE_TTL_MS = 10_000;
const catalogues = new TtlCache<'all', Model[]>({ ttlMs: CATALOGUE_TTL_MS, sizeMax: 1 });

/** All models with their prices, at most `CATALOGUE_TTL_MS` old. */
export async function catalogue(env: Env, nowMs: number): Promise<Model[]> {
  const cached = catalogues.get('all', nowMs);
  if (cached) return cached;
  const fresh = await loadCatalogue(database(env));
  catalogues.set('all', fresh, nowMs);
  return fresh;
}

const snapshots = new Snapshots();

/** The latest snapshot of a model's pool that the isolate has: one or two seconds old while the Pool can be reached. */
export function poolSnapshot(
  env: Env,
  modelId: string,
  nowMs: number,
  waitUntil: WaitUntil,
): Promise<PoolSnapshot> {
  return snapshots.get(env, { modelId, nowMs, waitUntil });
}
