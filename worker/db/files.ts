/** Metadata of customers' files; their content is in R2 (batches/file-parts.ts). */
import { and, desc, eq, gt, lt, sql } from 'drizzle-orm';
import { MAXIMA } from '../domain/maxima.ts';
import type { Database } from './client.ts';
import { insertIf } from './insert-if.ts';
import { file } from './schema.ts';

export type FileRow = typeof file.$inferSelect;
type Owner = { accountId: string; nowMs: number };

/**
 * Adds an uploaded file, if the account has room for it: the same statement counts and inserts, so that of uploads at once
 * none goes beyond the maxima.
 * @returns whether it was added
 */
export async function addFileIfRoom(db: Database, row: FileRow): Promise<boolean> {
  const stored = isOwned({ accountId: row.accountId, nowMs: row.createdAtMs });
  const hasRoom = sql`exists (select 1 from (
    select count(*) as files, coalesce(sum(${file.bytes}), 0) as bytes from ${file} where ${stored}
  ) where files < ${MAXIMA.files.count} and bytes + ${row.bytes} <= ${MAXIMA.file_bytes.count})`;
  const added = await insertIf(db, file, row, hasRoom);
  return added.meta.changes === 1;
}

/** Adds a file however many there are: the results of a batch are paid for. Repeating it changes nothing. */
export async function addFile(db: Database, row: FileRow): Promise<void> {
  await db.insert(file).values(row).onConflictDoNothing();
}

/** Finds a file; null when it is not the account's or has expired. */
export async function findFile(db: Database, { id, ...owner }: Owner & { id: string }) {
  return (
    (await db
      .select()
      .from(file)
      .where(and(eq(file.id, id), isOwned(owner)))
      .get()) ?? null
  );
}

/** Lists files, newest first. @param afterId the last id of the previous page */
export function listFiles(
  db: Database,
  { purpose, afterId, limit, ...owner }: Owner & Page & { purpose: FileRow['purpose'] | null },
): Promise<FileRow[]> {
  const ofPurpose = purpose === null ? undefined : eq(file.purpose, purpose);
  // Ids sort by time.
  const after = afterId === null ? undefined : lt(file.id, afterId);
  return db
    .select()
    .from(file)
    .where(and(isOwned(owner), ofPurpose, after))
    .orderBy(desc(file.id))
    .limit(limit);
}

export interface Page {
  readonly afterId: string | null;
  readonly limit: number;
}

export async function deleteFile(db: Database, { id, accountId }: { id: string; accountId: string }) {
  await db.delete(file).where(and(eq(file.id, id), eq(file.accountId, accountId)));
}

/** Counts the account's files and their bytes. */
export async function fileTotals(db: Database, owner: Owner): Promise<{ files: number; bytes: number }> {
  const row = await db
    .select({ files: sql<number>`count(*)`, bytes: sql<number>`coalesce(sum(${file.bytes}), 0)` })
    .from(file)
    .where(isOwned(owner))
    .get();
  return row!;
}

function isOwned({ accountId, nowMs }: Owner) {
  return and(eq(file.accountId, accountId), gt(file.expiresAtMs, nowMs));
}
