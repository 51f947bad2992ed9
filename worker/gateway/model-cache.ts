/** What an isolate remembers between requests: bounded, stale by a stated time, never a promise. */

import { loadCatalogue, type Model } from '../db/catalogue.ts';
import { database } from '../db/client.ts';
import type { PoolSnapshot } from '../domain/node.ts';
import type { Env } from '../env.ts';
import { TtlCache } from '../lib/ttl-cache.ts';
import { Snapshots, type WaitUntil } from './node/pool-snapshots.ts';

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

const snapshots = new Snapshots();

/** The pool of a model as the isolate knows it: a second or two old while the Pool can be reached. */
export function poolSnapshot(
  env: Env,
  modelId: string,
  nowMs: number,
  waitUntil: WaitUntil,
): Promise<PoolSnapshot> {
  return snapshots.get(env, { modelId, nowMs, waitUntil });
}
