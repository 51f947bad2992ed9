/** Reconciliation findings that wait for an operator, and how far nodes' receipts lag behind billing. */
import { and, asc, eq, isNull, sql } from 'drizzle-orm';
import type { DriftKind } from '../domain/reconciliation.ts';
import { type AuditEntry, addAuditIfChanged } from './audit.ts';
import type { Database } from './client.ts';
import { openRows } from './open-sums.ts';
import { drift, node, projection, receiptHour } from './schema.ts';

export type DriftRow = typeof drift.$inferSelect;

/** Identifies one finding. */
export interface DriftKey {
  readonly requestId: string;
  /** Empty: no node is concerned. */
  readonly nodeId: string;
  readonly kind: DriftKind;
}

/** Counting stops here: past this many the exact number no longer matters. */
export const OPEN_COUNTED_MAX = 1_000;

/** Lists findings that are neither closed nor explained, the oldest first. */
export function listOpenDrift(db: Database, limit: number): Promise<DriftRow[]> {
  return db.select().from(drift).where(isNull(drift.resolvedAtMs)).orderBy(asc(drift.foundAtMs)).limit(limit);
}

/** Counts open findings. @returns at most OPEN_COUNTED_MAX */
export async function countOpenDrift(db: Database): Promise<number> {
  const open = db
    .select({ one: sql`1` })
    .from(drift)
    .where(isNull(drift.resolvedAtMs))
    .limit(OPEN_COUNTED_MAX);
  const row = await db.get<{ n: number }>(sql`select count(*) as n from ${open}`);
  return row.n;
}

export async function findOpenDrift(db: Database, key: DriftKey): Promise<DriftRow | null> {
  return (
    (await db
      .select()
      .from(drift)
      .where(and(matchesKey(key), isNull(drift.resolvedAtMs)))
      .get()) ?? null
  );
}

/** Closes a finding. @returns whether it was open and is closed now */
export async function closeDrift(
  db: Database,
  { key, nowMs, entry }: { key: DriftKey; nowMs: number; entry: AuditEntry },
): Promise<boolean> {
  const [closed] = await db.batch([
    db
      .update(drift)
      .set({ resolvedAtMs: nowMs })
      .where(and(matchesKey(key), isNull(drift.resolvedAtMs))),
    addAuditIfChanged(db, entry),
  ]);
  return closed.meta.changes === 1;
}

function matchesKey({ requestId, nodeId, kind }: DriftKey) {
  return and(eq(drift.requestId, requestId), eq(drift.nodeId, nodeId), eq(drift.kind, kind));
}

/**
 * Tokens that a node counted in a span of hours, by write-off reason; an empty `reason` means that every token was
 * billed.
 */
export type CountedTokens = Omit<typeof receiptHour.$inferSelect, 'hourMs'>;

/** The query behind CountedTokens. @param sinceMs the beginning of an hour */
export function countedTokensSince(sinceMs: number) {
  return sql<CountedTokens>`
    select nodeId, reason, sum(receipts) as receipts,
      sum(prompt_tokens) as promptTokens, sum(completion_tokens) as completionTokens,
      sum(written_off_prompt_tokens) as writtenOffPromptTokens,
      sum(written_off_completion_tokens) as writtenOffCompletionTokens
    from (
      select n.id as nodeId, n.name as name, r.reason, r.receipts, r.prompt_tokens, r.completion_tokens,
        r.written_off_prompt_tokens, r.written_off_completion_tokens
      from ${node} as n cross join ${receiptHour} as r on r.node_id = n.id and r.hour_ms >= ${sinceMs}
      union all
      select n.id, n.name, h.reason, h.receipts, h.prompt_tokens, h.completion_tokens,
        h.written_off_prompt_tokens, h.written_off_completion_tokens
      from (${sql.raw(openRows('r'))}) as h join ${node} as n on n.id = h.node_id where h.hour_ms >= ${sinceMs})
    group by nodeId, reason order by name, reason`;
}

/** When a node's newest receipt arrived, and when its request had ended (null: the request is unknown). */
export interface NewestReceipt {
  readonly nodeId: string;
  readonly receivedAtMs: number;
  readonly endedAtMs: number | null;
}

export function newestReceipts() {
  // SQLite takes the other columns from the row that has the max().
  return sql<NewestReceipt>`
    select nodeId, max(receivedAtMs) as receivedAtMs, nullif(endedAtMs, 0) as endedAtMs from (
      select n.id as nodeId, r.newest_received_at_ms as receivedAtMs, r.newest_ended_at_ms as endedAtMs
      from ${node} as n
      cross join ${receiptHour} as r on r.node_id = n.id and r.hour_ms =
        (select max(hour_ms) from receipt_hour where node_id = n.id)
      union all
      select n.id, h.newest_received_at_ms, h.newest_ended_at_ms
      from (${sql.raw(openRows('r'))}) as h join ${node} as n on n.id = h.node_id)
    group by nodeId`;
}

/**
 * Counts billed requests of all accounts whose receipt has not arrived; those missing too long are findings and left
 * out.
 */
export function waitingReceipts() {
  // max(0, …): a receipt may be published before its request.
  return sql<{ waiting: number }>`
    select coalesce(sum(max(0, billed_requests - witnessed_requests - missed_requests)), 0) as waiting
    from ${projection}`;
}
