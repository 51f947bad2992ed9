/** Batches as the API and the portal read them. Each batch's Durable Object writes its progress here. */
import { and, desc, eq, inArray, lt, sql } from 'drizzle-orm';
import { MAXIMA } from '../domain/maxima.ts';
import type { Database } from './client.ts';
import type { Page } from './files.ts';
import { insertIf } from './insert-if.ts';
import { batch } from './schema.ts';

export type BatchRow = typeof batch.$inferSelect;
export type BatchState = BatchRow['state'];

export const UNFINISHED: BatchState[] = ['validating', 'in_progress', 'finalizing', 'cancelling'];

export function isUnfinished(state: BatchState): boolean {
  return UNFINISHED.includes(state);
}

/**
 * Adds a batch, if the account has room for another unfinished one: the same statement counts and inserts, so that two at
 * once cannot both be the last.
 * @returns null: it has as many as it can have
 */
export async function addBatch(db: Database, row: typeof batch.$inferInsert): Promise<BatchRow | null> {
  const unfinished = and(eq(batch.accountId, row.accountId), inArray(batch.state, UNFINISHED));
  const hasRoom = sql`(select count(*) from ${batch} where ${unfinished}) < ${MAXIMA.unfinished_batches.count}`;
  const [added] = await insertIf(db, batch, row, hasRoom).returning();
  return added ?? null;
}

export async function findBatch(
  db: Database,
  { id, accountId }: { id: string; accountId: string },
): Promise<BatchRow | null> {
  const row = await db
    .select()
    .from(batch)
    .where(and(eq(batch.id, id), eq(batch.accountId, accountId)))
    .get();
  return row ?? null;
}

/** Lists batches, newest first. */
export function listBatches(
  db: Database,
  { accountId, afterId, limit }: Page & { accountId: string },
): Promise<BatchRow[]> {
  const after = afterId === null ? undefined : lt(batch.id, afterId);
  return db
    .select()
    .from(batch)
    .where(and(eq(batch.accountId, accountId), after))
    .orderBy(desc(batch.id))
    .limit(limit);
}

/** Whether an unfinished batch reads the file. */
export async function isFileInUse(
  db: Database,
  { accountId, fileId }: { accountId: string; fileId: string },
) {
  const ofFile = and(eq(batch.accountId, accountId), eq(batch.inputFileId, fileId));
  const row = await db
    .select({ id: batch.id })
    .from(batch)
    .where(and(ofFile, inArray(batch.state, UNFINISHED)))
    .get();
  return row !== undefined;
}

/** Writes the columns given in `progress`; the others stay. */
export async function saveProgress(
  db: Database,
  { id, ...progress }: Partial<BatchRow> & { id: string },
): Promise<void> {
  await db.update(batch).set(progress).where(eq(batch.id, id));
}
