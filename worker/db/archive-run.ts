/** The one row that says which run archives now, and how the last pass over all accounts went. */
import { and, eq, lte, sql } from 'drizzle-orm';
import type { Database } from './client.ts';
import { archivePart, archiveRun } from './schema.ts';

export type ArchiveRunRow = typeof archiveRun.$inferSelect;

/** The size at which D1 accepts no more. */
export const DATABASE_BYTES_MAX = 10_000_000_000;
/** From this size on it is nearly full: the operator is warned, and has weeks left. */
export const DATABASE_BYTES_WARNED = 0.8 * DATABASE_BYTES_MAX;

/** Claims the archive for one run. @returns null: another run has it, or it rests */
export async function claimRun(
  db: Database,
  { token, nowMs, untilMs }: { token: string; nowMs: number; untilMs: number },
): Promise<ArchiveRunRow | null> {
  const row = await db
    .update(archiveRun)
    .set({ token, claimedUntilMs: untilMs })
    .where(and(lte(archiveRun.claimedUntilMs, nowMs), lte(archiveRun.restUntilMs, nowMs)))
    .returning()
    .get();
  return row ?? null;
}

/** Notes the object that the run is about to write, or that none is left. @returns whether the run still has its claim */
export async function noteWriting(db: Database, token: string, writingKey: string | null): Promise<boolean> {
  const { meta } = await db.update(archiveRun).set({ writingKey }).where(eq(archiveRun.token, token));
  return meta.changes === 1;
}

/** Whether the manifest names this object of the account. */
export async function isInManifest(
  db: Database,
  { accountId, objectKey }: { accountId: string; objectKey: string },
): Promise<boolean> {
  const row = await db
    .select({ seq: archivePart.seq })
    .from(archivePart)
    .where(and(eq(archivePart.accountId, accountId), eq(archivePart.objectKey, objectKey)))
    .limit(1)
    .get();
  return row !== undefined;
}

export async function noteFailure(
  db: Database,
  { token, accountId, failure, nowMs }: { token: string; accountId: string; failure: string; nowMs: number },
): Promise<void> {
  await db
    .update(archiveRun)
    .set({
      failures: sql`${archiveRun.failures} + 1`,
      failedAtMs: nowMs,
      failedAccountId: accountId,
      failure,
    })
    .where(eq(archiveRun.token, token));
}

/** Gives the claim back; the next run goes on after this account. */
export async function releaseRun(db: Database, token: string, afterAccountId: string): Promise<void> {
  await db
    .update(archiveRun)
    .set({ token: null, claimedUntilMs: 0, afterAccountId })
    .where(eq(archiveRun.token, token));
}

/** Ends a pass over all accounts, and gives the claim back. */
export async function endPass(
  db: Database,
  pass: { token: string; nowMs: number; restUntilMs: number; keptFromMs: number },
): Promise<void> {
  const { token, nowMs, restUntilMs, keptFromMs } = pass;
  await db
    .update(archiveRun)
    .set({
      token: null,
      claimedUntilMs: 0,
      afterAccountId: '',
      restUntilMs,
      passedAtMs: nowMs,
      keptFromMs,
      passedFailures: sql`${archiveRun.failures}`,
      failures: 0,
    })
    .where(eq(archiveRun.token, token));
}

export interface ArchiveState {
  readonly run: ArchiveRunRow;
  readonly parts: number;
  readonly rows: number;
  readonly bytes: number;
  /** Size of the database; null: it does not say. */
  readonly databaseBytes: number | null;
}

export async function archiveState(db: Database): Promise<ArchiveState> {
  const [run, sums] = await db.batch([
    db.select().from(archiveRun),
    db
      .select({
        parts: sql<number>`count(*)`,
        rows: sql<number>`coalesce(sum(rows), 0)`,
        bytes: sql<number>`coalesce(sum(bytes), 0)`,
      })
      .from(archivePart),
  ]);
  return { run: run[0]!, ...sums[0]!, databaseBytes: await databaseBytes(db) };
}

/** The size of the database as D1 states it with every answer. */
export async function databaseBytes(db: Database): Promise<number | null> {
  const { meta } = await db.$client.prepare('SELECT 1').all();
  return meta.size_after ?? null;
}
