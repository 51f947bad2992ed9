/** Canary attempts, one row each. A row is written once and ended once, by whichever caller comes first. */
import { and, desc, eq, inArray, isNull, max, sql } from 'drizzle-orm';
import { ATTEMPTS_CONSIDERED, asOf, type CanaryAttempt, type CanaryFault } from '../domain/canary.ts';
import type { NodeState } from '../domain/node.ts';
import type { Usage } from '../domain/usage.ts';
import { type AuditEntry, addAuditIfChanged } from './audit.ts';
import type { Database } from './client.ts';
import { audit, canary, node } from './schema.ts';

type CanaryRow = typeof canary.$inferSelect;

const isOpen = and(isNull(canary.fault), isNull(canary.passedAtMs));

export interface CanaryStanding {
  /** null: there is no such node. */
  readonly state: NodeState | null;
  /** When it last entered the state `canary`. */
  readonly sinceMs: number;
  /** The newest first, and no more than the decision needs. */
  readonly attempts: readonly CanaryAttempt[];
}

/** Reads what decides whether a node's next attempt is due. */
export async function canaryStanding(db: Database, nodeId: string): Promise<CanaryStanding> {
  const [states, since, rows] = await db.batch([
    db.select({ state: node.state }).from(node).where(eq(node.id, nodeId)),
    // Every way into the state, and a change of engine within it, writes its audit row in the same batch.
    db
      .select({ atMs: max(audit.atMs) })
      .from(audit)
      .where(
        and(
          eq(audit.subject, nodeId),
          inArray(audit.action, ['node.enrolled', 'node.canary', 'node.engine_changed']),
        ),
      ),
    newestAttempts(db, nodeId).limit(ATTEMPTS_CONSIDERED),
  ]);
  return {
    state: states[0]?.state ?? null,
    sinceMs: since[0]?.atMs ?? 0,
    attempts: rows.map(toCanaryAttempt),
  };
}

/**
 * Begins an attempt, unless the node has left the state `canary` or another caller began one after `newest` was read.
 * @returns whether this call began it
 */
export async function beginCanaryAttempt(
  db: Database,
  attempt: { requestId: string; nodeId: string; atMs: number; newest: CanaryAttempt | undefined },
): Promise<boolean> {
  const { requestId, nodeId, atMs, newest } = attempt;
  const newestNow = newestAttempts(db, nodeId).limit(1).as('newest');
  const inserted = await db.insert(canary).select(
    sql`select ${requestId}, ${nodeId}, ${atMs}, null, null, null
      where exists (select 1 from ${node} where ${node.id} = ${nodeId} and ${node.state} = 'canary')
        and (select request_id from ${newestNow}) is ${newest?.requestId ?? null}`,
  );
  return inserted.meta.changes === 1;
}

/** Records what the edge observed, or that it timed out. An attempt that has ended stays as it is. */
export async function recordCanaryAttempt(
  db: Database,
  requestId: string,
  found: { usage?: Usage | null; fault: CanaryFault | null },
): Promise<void> {
  await db
    .update(canary)
    .set(found)
    .where(and(eq(canary.requestId, requestId), isOpen));
}

/**
 * For a batch: ends the node's open attempts when the statement just before it changed exactly one row, because they
 * say nothing about the node any more.
 */
export function endOpenCanaryAttemptsIfChanged(db: Database, nodeId: string, fault: CanaryFault) {
  return db
    .update(canary)
    .set({ fault })
    .where(and(eq(canary.nodeId, nodeId), isOpen, sql`changes() = 1`));
}

/**
 * Passes an attempt whose receipt agreed: the node becomes active if it is still a canary and this attempt is still
 * open.
 * @returns whether this call activated it
 */
export async function passCanaryAttempt(
  db: Database,
  { requestId, nodeId, entry }: { requestId: string; nodeId: string; entry: AuditEntry },
): Promise<boolean> {
  const stillOpen = sql`exists (select 1 from ${canary} where ${and(eq(canary.requestId, requestId), isOpen)})`;
  const [activated] = await db.batch([
    db
      .update(node)
      .set({ state: 'active' })
      .where(and(eq(node.id, nodeId), eq(node.state, 'canary'), stillOpen)),
    addAuditIfChanged(db, entry),
    db
      .update(canary)
      .set({ passedAtMs: entry.atMs })
      .where(and(eq(canary.requestId, requestId), isOpen)),
  ]);
  return activated.meta.changes === 1;
}

/** Finds attempts by the ids of their second requests. */
export async function findCanaryAttempts(
  db: Database,
  requestIds: readonly string[],
): Promise<Map<string, CanaryAttempt>> {
  const rows = await db
    .select()
    .from(canary)
    .where(sql`${canary.requestId} in (select value from json_each(${JSON.stringify(requestIds)}))`);
  return new Map(rows.map((row) => [row.requestId, toCanaryAttempt(row)]));
}

/** The newest attempt of each node that was ever tested, by node id. */
export async function latestCanaryAttempts(db: Database, nowMs: number): Promise<Map<string, CanaryAttempt>> {
  const rows = await db
    .select({ canary })
    .from(node)
    .innerJoin(
      canary,
      sql`${canary.requestId} = (select c.request_id from canary as c where c.node_id = ${node.id}
        order by c.at_ms desc, c.request_id desc limit 1)`,
    );
  return new Map(rows.map((row) => [row.canary.nodeId, asOf(toCanaryAttempt(row.canary), nowMs)]));
}

function newestAttempts(db: Database, nodeId: string) {
  return db
    .select()
    .from(canary)
    .where(eq(canary.nodeId, nodeId))
    .orderBy(desc(canary.atMs), desc(canary.requestId));
}

/** The column is plain text; only this file writes it, and only with CanaryFault values. */
function toCanaryAttempt({ fault, ...row }: CanaryRow): CanaryAttempt {
  return { ...row, fault: fault as CanaryFault | null };
}
