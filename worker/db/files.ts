/** Files of customers: what is known of them; what they hold is in R2 (batches/file-parts.ts). */
import { and, desc, eq, gt, lt, sql } from 'drizzle-orm';
import type { Database } from './client.ts';
import { file } from './schema.ts';

export type FileRow = typeof file.$inferSelect;
type Whose = { accountId: string; nowMs: number };

/** Safe to repeat. */
export async function addFile(db: Database, row: FileRow): Promise<void> {
  await db.insert(file).values(row).onConflictDoNothing();
}

/** Null for one that is not the account's or has expired. */
export async function findFile(db: Database, { id, ...whose }: Whose & { id: string }) {
  return (
    (await db
      .select()
      .from(file)
      .where(and(eq(file.id, id), owned(whose)))
      .get()) ?? null
  );
}

/** Newest first. @param afterId the last of the page before */
export function listFiles(
  db: Database,
  { purpose, afterId, limit, ...whose }: Whose & Page & { purpose: FileRow['purpose'] | null },
): Promise<FileRow[]> {
  const ofPurpose = purpose === null ? undefined : eq(file.purpose, purpose);
  // ids sort by time
  const after = afterId === null ? undefined : lt(file.id, afterId);
  return db
    .select()
    .from(file)
    .where(and(owned(whose), ofPurpose, after))
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

/** What an account keeps here. */
export async function filesKept(db: Database, whose: Whose): Promise<{ files: number; bytes: number }> {
  const row = await db
    .select({ files: sql<number>`count(*)`, bytes: sql<number>`coalesce(sum(${file.bytes}), 0)` })
    .from(file)
    .where(owned(whose))
    .get();
  return row!;
}

function owned({ accountId, nowMs }: Whose) {
  return and(eq(file.accountId, accountId), gt(file.expiresAtMs, nowMs));
}
