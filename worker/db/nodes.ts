/** Registered nodes and the join tokens that let them in. Which nodes are up right now is the Pool's to know. */
import { and, desc, eq, gt, isNull, ne, sql } from 'drizzle-orm';
import { type AuditEntry, addAudit, addAuditIfChanged } from './audit.ts';
import type { Database } from './client.ts';
import { joinToken, model, node } from './schema.ts';

export type NodeRow = typeof node.$inferSelect;
export type JoinTokenRow = typeof joinToken.$inferSelect;

/** A node with the `model_path` values that its model accepts. */
export interface NodeWithPaths extends NodeRow {
  readonly modelPaths: readonly string[];
}

export async function findNode(db: Database, nodeId: string): Promise<NodeWithPaths | null> {
  const rows = await db
    .select({ node, modelPaths: model.modelPaths })
    .from(node)
    .innerJoin(model, eq(model.id, node.modelId))
    .where(eq(node.id, nodeId));
  return rows[0] ? { ...rows[0].node, modelPaths: rows[0].modelPaths } : null;
}

/** Every node that was ever enrolled, newest first; removed ones keep their row for receipts and margins. */
export function listNodes(db: Database): Promise<NodeRow[]> {
  return db.select().from(node).orderBy(desc(node.enrolledAtMs), desc(node.id));
}

export async function modelExists(db: Database, modelId: string): Promise<boolean> {
  return (await db.select({ id: model.id }).from(model).where(eq(model.id, modelId))).length === 1;
}

export async function addJoinToken(
  db: Database,
  row: Omit<JoinTokenRow, 'usedAtMs'>,
  entry: AuditEntry,
): Promise<void> {
  await db.batch([db.insert(joinToken).values(row), addAudit(db, entry)]);
}

export async function findJoinToken(
  db: Database,
  joinId: string,
): Promise<(JoinTokenRow & { modelPaths: readonly string[] }) | null> {
  const rows = await db
    .select({ joinToken, modelPaths: model.modelPaths })
    .from(joinToken)
    .innerJoin(model, eq(model.id, joinToken.modelId))
    .where(eq(joinToken.id, joinId));
  return rows[0] ? { ...rows[0].joinToken, modelPaths: rows[0].modelPaths } : null;
}

/**
 * Uses a join token and adds its node, or does neither: one batch, in which each statement depends on the one before.
 * @returns whether this call was the one that used the token
 */
export async function useJoinToken(
  db: Database,
  { joinId, row, entry }: { joinId: string; row: NodeRow; entry: AuditEntry },
): Promise<boolean> {
  const [claimed] = await db.batch([
    db
      .update(joinToken)
      .set({ usedAtMs: row.enrolledAtMs })
      .where(
        and(
          eq(joinToken.id, joinId),
          isNull(joinToken.usedAtMs),
          gt(joinToken.expiresAtMs, row.enrolledAtMs),
        ),
      ),
    db.insert(node).select(
      sql`select ${row.id}, ${row.name}, ${row.modelId}, ${row.hardware}, ${row.url}, ${row.publicKey},
        ${row.capacity}, ${row.engineVersion}, ${row.weightVersion}, ${row.state}, ${row.enrolledAtMs}
        where changes() = 1`,
    ),
    addAuditIfChanged(db, entry),
  ]);
  return claimed.meta.changes === 1;
}

/**
 * Removal is for ever: a removed node comes back only by enrolling anew.
 * @returns whether the node's state is different now
 */
export async function changeNodeState(
  db: Database,
  { nodeId, state, entry }: { nodeId: string; state: NodeRow['state']; entry: AuditEntry },
): Promise<boolean> {
  const [changed] = await db.batch([
    db
      .update(node)
      .set({ state })
      .where(and(eq(node.id, nodeId), ne(node.state, 'removed'), ne(node.state, state))),
    addAuditIfChanged(db, entry),
  ]);
  return changed.meta.changes === 1;
}

/** What the node's engine now says of itself. */
export async function changeEngine(
  db: Database,
  engine: { nodeId: string; engineVersion: string; weightVersion: string; entry: AuditEntry },
): Promise<void> {
  const { nodeId, engineVersion, weightVersion, entry } = engine;
  await db.batch([
    db.update(node).set({ engineVersion, weightVersion }).where(eq(node.id, nodeId)),
    addAudit(db, entry),
  ]);
}
