/** What an isolate remembers between requests: bounded, stale by a stated time, never a promise. */

import { loadCatalogue, type Model } from '../db/catalogue.ts';
import { database } from '../db/client.ts';
import type { PoolSnapshot } from '../domain/node.ts';
import type { Env } from '../env.ts';
import { TtlCache } from './ttl-cache.ts';

/** A new price or model is in force everywhere within this time of being written. */
const CATALOGUE_TTL_MS = 10_000;
const catalogues = new TtlCache<'all', Model[]>({ ttlMs: CATALOGUE_TTL_MS, sizeMax: 1 });

export async function catalogue(env: Env, nowMs: number): Promise<Model[]> {
  const known = catalogues.get('all', nowMs);
  if (known) return known;
  const fresh = await loadCatalogue(database(env));
  catalogues.set('all', fresh, nowMs);
  return fresh;
}

/** From this age on a snapshot is refreshed behind the request that finds it old … */
const SNAPSHOT_STALE_MS = 2_000;
/** … and from this age on the request waits for a new one. */
const SNAPSHOT_TTL_MS = 8_000;

interface KnownPool {
  snapshot: PoolSnapshot;
  refreshingSinceMs: number | null;
}
const pools = new Map<string, KnownPool>();

/** The pool of a model as the isolate knows it. The last good snapshot serves while the Pool is silent. */
export async function poolSnapshot(
  env: Env,
  modelId: string,
  nowMs: number,
  waitUntil: (promise: Promise<unknown>) => void,
): Promise<PoolSnapshot> {
  const known = pools.get(modelId);
  const ageMs = known ? nowMs - known.snapshot.atMs : Number.POSITIVE_INFINITY;
  if (known && ageMs < SNAPSHOT_TTL_MS) {
    if (ageMs >= SNAPSHOT_STALE_MS && nowMs - (known.refreshingSinceMs ?? 0) > SNAPSHOT_STALE_MS) {
      known.refreshingSinceMs = nowMs;
      waitUntil(refresh(env, modelId).catch(() => undefined));
    }
    return known.snapshot;
  }
  try {
    return await refresh(env, modelId);
  } catch (error) {
    if (known) return known.snapshot;
    throw error;
  }
}

async function refresh(env: Env, modelId: string): Promise<PoolSnapshot> {
  const snapshot = await env.POOL.getByName(modelId).snapshot();
  pools.set(modelId, { snapshot, refreshingSinceMs: null });
  return snapshot;
}
