/** Registered nodes and the join tokens that enrol them. Which nodes are up right now only the Pool object knows. */
import { and, desc, eq, gt, isNull, ne, or, sql } from 'drizzle-orm';
import type { NodeState } from '../domain/node.ts';
import { type AuditEntry, addAudit, addAuditIfChanged } from './audit.ts';
import { endOpenCanaryAttemptsIfChanged } from './canary.ts';
import type { Database } from './client.ts';
import { joinToken, model, node } from './schema.ts';

export type NodeRow = typeof node.$inferSelect;
export type JoinTokenRow = typeof joinToken.$inferSelect;

/** The columns of a model that say what its nodes serve. */
const SOLD = {
  profile: model.profile,
  contextTokens: model.contextTokens,
  outputTokensMax: model.outputTokensMax,
};
export type SoldColumns = Pick<typeof model.$inferSelect, keyof typeof SOLD>;

/** The facts about a node’s model: the `model_path` values that its engines may report, and what is sold. */
interface ModelFacts {
  readonly modelPaths: readonly string[];
  readonly sold: SoldColumns;
}

/** A node with the facts about its model. */
export type NodeWithModel = NodeRow & ModelFacts;

export async function findNode(db: Database, nodeId: string): Promise<NodeWithModel | null> {
  const rows = await db
    .select({ node, modelPaths: model.modelPaths, sold: SOLD })
    .from(node)
    .innerJoin(model, eq(model.id, node.modelId))
    .where(eq(node.id, nodeId));
  const [row] = rows;
  return row ? { ...row.node, modelPaths: row.modelPaths, sold: row.sold } : null;
}

/** Lists every node that was ever enrolled, newest first; removed ones keep their row for receipts and margins. */
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
): Promise<(JoinTokenRow & ModelFacts) | null> {
  const rows = await db
    .select({ joinToken, modelPaths: model.modelPaths, sold: SOLD })
    .from(joinToken)
    .innerJoin(model, eq(model.id, joinToken.modelId))
    .where(eq(joinToken.id, joinId));
  const [row] = rows;
  return row ? { ...row.joinToken, modelPaths: row.modelPaths, sold: row.sold } : null;
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
        ${row.capacity}, ${row.engineVersion}, ${row.weightVersion}, ${row.state}, ${row.enrolledAtMs}, ${row.revision}
        where changes() = 1`,
    ),
    addAuditIfChanged(db, entry),
  ]);
  return claimed.meta.changes === 1;
}

/**
 * Changes a node's state if it is still in the state `from`. Its open canary attempts end with it.
 * @returns whether this call changed it
 */
export async function changeNodeState(
  db: Database,
  change: { nodeId: string; from: NodeState; to: NodeState; entry: AuditEntry },
): Promise<boolean> {
  const { nodeId, from, to, entry } = change;
  const [changed] = await db.batch([
    db
      .update(node)
      .set({ state: to })
      .where(and(eq(node.id, nodeId), eq(node.state, from))),
    addAuditIfChanged(db, entry),
    endOpenCanaryAttemptsIfChanged(db, nodeId, 'withdrawn'),
  ]);
  return changed.meta.changes === 1;
}

/**
 * Records a changed engine version and the state that follows from it. Open canary attempts end, because they tested
 * the previous engine.
 * @param engine.entries audit rows: of the new engine, then of the new state if it differs
 * @returns whether this call changed it: false when the versions are already stored or the node is not in the state
 * `from`
 */
export async function changeEngine(
  db: Database,
  engine: Pick<NodeRow, 'engineVersion' | 'weightVersion'> & {
    nodeId: string;
    from: NodeState;
    to: NodeState;
    entries: readonly [AuditEntry, ...AuditEntry[]];
  },
): Promise<boolean> {
  const { nodeId, engineVersion, weightVersion, from, to, entries } = engine;
  const differs = or(ne(node.engineVersion, engineVersion), ne(node.weightVersion, weightVersion));
  const [changed] = await db.batch([
    db
      .update(node)
      .set({ engineVersion, weightVersion, state: to })
      .where(and(eq(node.id, nodeId), eq(node.state, from), differs)),
    ...entries.map((entry) => addAuditIfChanged(db, entry)),
    endOpenCanaryAttemptsIfChanged(db, nodeId, 'engine_changed'),
  ]);
  return changed.meta.changes === 1;
}
