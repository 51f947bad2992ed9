/** Findings of the reconciliation that wait for an operator, and how far the second witness is behind the first. */
import { and, asc, eq, isNull, sql } from 'drizzle-orm';
import type { DriftKind } from '../domain/reconciliation.ts';
import { type AuditEntry, addAuditIfChanged } from './audit.ts';
import type { Database } from './client.ts';
import { drift, node, projection, receiptHour } from './schema.ts';

export type DriftRow = typeof drift.$inferSelect;

/** Names one finding. */
export interface DriftName {
  readonly requestId: string;
  /** empty: no node is concerned */
  readonly nodeId: string;
  readonly kind: DriftKind;
}

/** Past so many it no longer matters how many. */
export const OPEN_COUNTED_MAX = 1_000;

/** Findings that nobody has closed and nothing has explained, the oldest first. */
export function listOpenDrift(db: Database, limit: number): Promise<DriftRow[]> {
  return db.select().from(drift).where(isNull(drift.resolvedAtMs)).orderBy(asc(drift.foundAtMs)).limit(limit);
}

/** @returns at most OPEN_COUNTED_MAX */
export async function countOpenDrift(db: Database): Promise<number> {
  const open = db
    .select({ one: sql`1` })
    .from(drift)
    .where(isNull(drift.resolvedAtMs))
    .limit(OPEN_COUNTED_MAX);
  const row = await db.get<{ n: number }>(sql`select count(*) as n from ${open}`);
  return row.n;
}

export async function findOpenDrift(db: Database, name: DriftName): Promise<DriftRow | null> {
  return (
    (await db
      .select()
      .from(drift)
      .where(and(isNamed(name), isNull(drift.resolvedAtMs)))
      .get()) ?? null
  );
}

/** @returns whether it was open and is closed now */
export async function closeDrift(
  db: Database,
  { name, nowMs, entry }: { name: DriftName; nowMs: number; entry: AuditEntry },
): Promise<boolean> {
  const [closed] = await db.batch([
    db
      .update(drift)
      .set({ resolvedAtMs: nowMs })
      .where(and(isNamed(name), isNull(drift.resolvedAtMs))),
    addAuditIfChanged(db, entry),
  ]);
  return closed.meta.changes === 1;
}

function isNamed({ requestId, nodeId, kind }: DriftName) {
  return and(eq(drift.requestId, requestId), eq(drift.nodeId, nodeId), eq(drift.kind, kind));
}

/** What a node counted in a span of hours, by why it was billed to nobody; `reason` empty: billed to the last token. */
export type CountedTokens = Omit<typeof receiptHour.$inferSelect, 'hourMs'>;

/** @param sinceMs the beginning of an hour */
export function countedSince(sinceMs: number) {
  return sql<CountedTokens>`
    select n.id as nodeId, r.reason, sum(r.receipts) as receipts,
      sum(r.prompt_tokens) as promptTokens, sum(r.completion_tokens) as completionTokens,
      sum(r.written_off_prompt_tokens) as writtenOffPromptTokens,
      sum(r.written_off_completion_tokens) as writtenOffCompletionTokens
    from ${node} as n cross join ${receiptHour} as r on r.node_id = n.id and r.hour_ms >= ${sinceMs}
    group by n.id, r.reason order by n.name, r.reason`;
}

/** When a node's newest receipt came, and when the request that it tells of had ended (null: of no request that is known). */
export interface NewestReceipt {
  readonly nodeId: string;
  readonly receivedAtMs: number;
  readonly endedAtMs: number | null;
}

export function newestReceipts() {
  // beside a max() the other columns are of its row
  return sql<NewestReceipt>`
    select n.id as nodeId, max(r.newest_received_at_ms) as receivedAtMs, nullif(r.newest_ended_at_ms, 0) as endedAtMs
    from ${node} as n
    cross join ${receiptHour} as r on r.node_id = n.id and r.hour_ms =
      (select max(hour_ms) from receipt_hour where node_id = n.id)
    group by n.id`;
}

/** Billed requests, of all accounts, whose node has not been heard of yet; what is missing too long is a finding. */
export function waitingReceipts() {
  // a receipt may be told before its request
  return sql<{ waiting: number }>`
    select coalesce(sum(max(0, billed_requests - witnessed_requests - missed_requests)), 0) as waiting
    from ${projection}`;
}
