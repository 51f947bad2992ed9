/** While EDGE_SIGNING_KEY is rotated: tells nodes which keys to hold, and records which they do. */
import { database } from '../db/client.ts';
import { recordEdgeKeys } from '../db/node-edge-keys.ts';
import { config, type Env } from '../env.ts';
import { describeError } from '../lib/describe-error.ts';
import { TtlCache } from '../lib/ttl-cache.ts';
import { edgeKeys } from '../tokens/edge-keys.ts';

/** Keys as last recorded by this isolate, by node: a heartbeat that says the same writes nothing. */
const recorded = new TtlCache<string, string>({ ttlMs: 600_000, sizeMax: 10_000 });

/**
 * @param report.held ids of the keys that the node holds; undefined: an older agent, which does not say
 * @returns the reply's `edge_keys`; nothing outside a rotation
 */
export async function announceEdgeKeys(
  env: Env,
  { nodeId, held = [], nowMs }: { nodeId: string; held: readonly string[] | undefined; nowMs: number },
): Promise<{ edge_keys?: string[] }> {
  const { publicJwks } = await edgeKeys(config(env));
  if (publicJwks.length < 2) return {};
  const keyIds = [...held].sort();
  if (recorded.get(nodeId, nowMs) !== keyIds.join()) {
    await recordEdgeKeys(database(env), { nodeId, keyIds, nowMs })
      .then(() => recorded.set(nodeId, keyIds.join(), nowMs))
      .catch((error) =>
        console.error(JSON.stringify({ event: 'edge_keys_failed', nodeId, error: describeError(error) })),
      );
  }
  return { edge_keys: publicJwks.map(({ kid }) => kid) };
}
