/**
 * The models that no node serves at the moment. Such a model stays in every list, under its id and with its prices: an
 * outage of a minute must not take a name away from clients that keep what they were offered. Each list says that it is
 * not available, and a request gets 503 with the time of a retry.
 */
import { isServing } from '../domain/node.ts';
import type { Env } from '../env.ts';
import { poolSnapshot } from './model-cache.ts';
import type { WaitUntil } from './node/pool-snapshots.ts';

/** A Pool that cannot be read says nothing: its model counts as served. */
export async function unservedModels(
  env: Env,
  models: readonly { readonly id: string }[],
  { nowMs, waitUntil }: { nowMs: number; waitUntil: WaitUntil },
): Promise<ReadonlySet<string>> {
  const found = await Promise.all(
    models.map(async ({ id }) => {
      const pool = await poolSnapshot(env, id, nowMs, waitUntil).catch(() => null);
      return pool !== null && !pool.nodes.some(isServing) ? id : null;
    }),
  );
  return new Set(found.filter((id) => id !== null));
}
