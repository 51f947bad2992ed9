/** Findings of the reconciliation that wait for an operator, and how far the second witness is behind the first. */
import { and, asc, eq, isNull, sql } from 'drizzle-orm';
import { newId } from '../domain/ids.ts';
import type { DriftKind } from '../domain/reconciliation.ts';
import { type AuditEntry, addAuditIfChanged } from './audit.ts';
import type { Database } from './client.ts';
import { drift, node, receiptHour } from './schema.ts';

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

/** The newest receipt of a node, and when the request that it tells of had ended (null: of no request that is known). */
export interface NewestReceipt {
  readonly nodeId: string;
  readonly receivedAtMs: number;
  readonly endedAtMs: number | null;
}

export function newestReceipts() {
  return sql<NewestReceipt>`
    select n.id as nodeId, r.received_at_ms as receivedAtMs, u.ended_at_ms as endedAtMs
    from ${node} as n
    cross join node_receipt as r on r.node_id = n.id and r.received_at_ms =
      (select max(received_at_ms) from node_receipt where node_id = n.id)
    left join usage_event as u on u.request_id = r.request_id
    group by n.id`;
}

/** Billed requests whose node has not been heard of yet. */
export interface Waiting {
  readonly waiting: number;
  /** when the one that waits longest had ended */
  readonly sinceMs: number | null;
  /** requests that were looked at; at LOOKED_AT_MAX there may be more */
  readonly lookedAt: number;
}

/** Newest requests that are asked for their receipt: what is older and still lacks one is a finding of its own. */
export const LOOKED_AT_MAX = 20_000;

/** Ids begin with their time, so the primary key alone finds the requests since an instant. */
export function waitingSince(sinceMs: number, lookedAtMax = LOOKED_AT_MAX) {
  const firstId = newId('req', sinceMs, new Uint8Array(10));
  return sql<Waiting>`
    select coalesce(sum(lacks), 0) as waiting, min(case when lacks then ended_at_ms end) as sinceMs,
      count(*) as lookedAt
    from (
      select u.ended_at_ms, u.charge_nano_usd > 0 and not exists (
        select 1 from node_receipt as r where r.request_id = u.request_id and r.node_id = u.node_id) as lacks
      from usage_event as u where u.request_id >= ${firstId} order by u.request_id desc limit ${lookedAtMax})`;
}
