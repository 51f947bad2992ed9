/** The edge's keys that nodes hold, as their agents report them while EDGE_SIGNING_KEY is rotated. */
import { eq, ne } from 'drizzle-orm';
import type { Database } from './client.ts';
import { node, nodeEdgeKeys } from './schema.ts';

export async function recordEdgeKeys(
  db: Database,
  { nodeId, keyIds, nowMs }: { nodeId: string; keyIds: readonly string[]; nowMs: number },
): Promise<void> {
  const values = { keyIds: [...keyIds], reportedAtMs: nowMs };
  await db
    .insert(nodeEdgeKeys)
    .values({ nodeId, ...values })
    .onConflictDoUpdate({ target: nodeEdgeKeys.nodeId, set: values });
}

/** Registered nodes with the keys that they hold; a node that has not reported any holds none. */
export async function listEdgeKeysOfNodes(
  db: Database,
): Promise<{ id: string; name: string; keyIds: string[] }[]> {
  const rows = await db
    .select({ id: node.id, name: node.name, keyIds: nodeEdgeKeys.keyIds })
    .from(node)
    .leftJoin(nodeEdgeKeys, eq(nodeEdgeKeys.nodeId, node.id))
    .where(ne(node.state, 'removed'));
  return rows.map(({ keyIds, ...row }) => ({ ...row, keyIds: keyIds ?? [] }));
}
