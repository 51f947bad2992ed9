/**
 * Deletes rows whose time is over (domain/retention.ts), a slice at a time. Each statement finds its rows by an index and
 * deletes a bounded number, so that D1's other callers wait little and a backlog goes in the course of some runs.
 */
import { and, eq, inArray, lt, notExists, sql } from 'drizzle-orm';
import type { RetainedKind } from '../domain/retention.ts';
import { UNFINISHED } from './batches.ts';
import type { Database } from './client.ts';
import type { FileRow } from './files.ts';
import { batch, file } from './schema.ts';

/** Rows that a statement deletes at most: some 10 ms of D1's time. */
export const SLICE_ROWS = 500;

export interface RetentionRule {
  readonly kind: RetainedKind;
  /** ?1: the time before which rows are old, in ms; ?2: number of rows at most. */
  readonly sql: string;
}

/**
 * Notices of a model's end say who is told of its withdrawal (db/model-end.ts), which can come a year later. They stay until
 * the end, and until a withdrawal has been told.
 */
const IS_NEEDED_TO_WITHDRAW = `(kind = 'model.ending' AND (
  EXISTS (SELECT 1 FROM model WHERE id = json_extract(facts, '$.modelId') AND ends_at_ms >= ?1)
  OR EXISTS (SELECT 1 FROM model_end_run WHERE model_id = json_extract(facts, '$.modelId') AND done = 0)))`;

/** In order: rows that refer to others go first. */
export const RETENTION_RULES: readonly RetentionRule[] = [
  { kind: 'invitation', sql: deleteOld('invitation', 'expires_at_ms') },
  { kind: 'sign_in', sql: deleteOld('person_session', 'expires_at') },
  { kind: 'sign_in', sql: deleteOld('person_verification', 'expires_at') },
  {
    kind: 'notice',
    sql: `DELETE FROM notice_delivery WHERE id IN (SELECT d.id FROM notice AS n
      JOIN notice_delivery AS d ON d.notice_id = n.id WHERE n.at_ms < ?1 LIMIT ?2)`,
  },
  {
    kind: 'notice',
    sql: deleteOld(
      'notice',
      'at_ms',
      `NOT EXISTS (SELECT 1 FROM notice_delivery WHERE notice_id = notice.id) AND NOT ${IS_NEEDED_TO_WITHDRAW}`,
    ),
  },
  {
    kind: 'notice',
    sql: `DELETE FROM webhook_secret WHERE endpoint_id IN (SELECT id FROM webhook_endpoint
      WHERE removed_at_ms IS NOT NULL AND removed_at_ms < ?1 LIMIT ?2)`,
  },
  { kind: 'notice', sql: deleteOld('webhook_endpoint', 'removed_at_ms', 'removed_at_ms IS NOT NULL') },
  { kind: 'payment_event', sql: deleteOld('payment_event', 'received_at_ms', '1', 'provider, event_id') },
  {
    kind: 'unpaid_order',
    sql: deleteOld(
      'payment_order',
      'created_at_ms',
      `state <> 'paid' AND NOT EXISTS (SELECT 1 FROM payment_reversal WHERE order_id = payment_order.id)
        AND NOT EXISTS (SELECT 1 FROM payment_correction WHERE order_id = payment_order.id)
        AND NOT EXISTS (SELECT 1 FROM payment_held WHERE order_id = payment_order.id)`,
    ),
  },
  {
    kind: 'audit_detail',
    sql: `UPDATE audit SET detail = '{}' WHERE id IN (SELECT id FROM audit
      WHERE at_ms < ?1 AND detail <> '{}' LIMIT ?2)`,
  },
  {
    kind: 'invoice_buyer',
    sql: `UPDATE invoice SET buyer = NULL, purchase_order = NULL WHERE number IN (SELECT number FROM invoice
      WHERE issued_at_ms < ?1 AND buyer IS NOT NULL LIMIT ?2)`,
  },
  { kind: 'join_token', sql: deleteOld('join_token', 'expires_at_ms') },
];

/** @param key the columns of the table's primary key */
function deleteOld(table: string, timeColumn: string, condition = '1', key = 'id'): string {
  return `DELETE FROM ${table} WHERE (${key}) IN (SELECT ${key} FROM ${table}
    WHERE ${timeColumn} < ?1 AND ${condition} LIMIT ?2)`;
}

/** @returns number of rows that were deleted or lost their details */
export async function applyRule(db: Database, rule: RetentionRule, beforeMs: number): Promise<number> {
  const { meta } = await db.$client.prepare(rule.sql).bind(beforeMs, SLICE_ROWS).run();
  return meta.changes;
}

/** Deletes the rows of expired files, except of inputs that a batch still reads. @returns the rows that were deleted */
export function takeExpiredFiles(
  db: Database,
  { nowMs, limit }: { nowMs: number; limit: number },
): Promise<FileRow[]> {
  const reading = and(
    eq(batch.accountId, file.accountId),
    eq(batch.inputFileId, file.id),
    inArray(batch.state, UNFINISHED),
  );
  const readers = db.select({ one: sql`1` }).from(batch).where(reading);
  const expired = db
    .select({ id: file.id })
    .from(file)
    .where(and(lt(file.expiresAtMs, nowMs), notExists(readers)))
    .limit(limit);
  return db.delete(file).where(inArray(file.id, expired)).returning();
}
