/** The manifest of the archive, as readers look it up. worker/archive reads what the parts hold. */
import { and, asc, desc, eq, gt, gte, lt, lte, sql } from 'drizzle-orm';
import { endOfIdsMonth, entryKey } from '../domain/archive.ts';
import type { ArchiveKind } from '../domain/archive-kinds.ts';
import type { Database } from './client.ts';
import { archivePart } from './schema.ts';

export type PartRow = typeof archivePart.$inferSelect;

export async function lastPart(
  db: Database,
  { accountId, kind }: { accountId: string; kind: ArchiveKind },
): Promise<PartRow | null> {
  const row = await db
    .select()
    .from(archivePart)
    .where(and(eq(archivePart.accountId, accountId), eq(archivePart.kind, kind)))
    .orderBy(desc(archivePart.seq))
    .limit(1)
    .get();
  return row ?? null;
}

/** Parts that may hold a request with this id; several only when rows came late. */
export function partsWithRequest(
  db: Database,
  { accountId, requestId }: { accountId: string; requestId: string },
): Promise<PartRow[]> {
  return db
    .select()
    .from(archivePart)
    .where(
      and(
        ofKind(accountId, 'requests'),
        gte(archivePart.lastKey, requestId),
        lt(archivePart.lastKey, endOfIdsMonth(requestId)),
        lte(archivePart.firstKey, requestId),
      ),
    );
}

/**
 * Parts of any account that may hold a request with this id, of which only the id is known.
 * @param limit there may be one an account
 */
export function partsOfAnyAccount(db: Database, requestId: string, limit: number): Promise<PartRow[]> {
  return db.all<PartRow>(sql`
    select p.account_id as accountId, p.kind, p.seq, p.month, p.first_key as firstKey, p.last_key as lastKey, p.rows,
      p.sum_nano_usd as sumNanoUsd, p.opening_balance_nano_usd as openingBalanceNanoUsd, p.hash,
      p.object_key as objectKey, p.bytes, p.archived_at_ms as archivedAtMs
    from account as a cross join archive_part as p on p.account_id = a.id and p.kind = 'requests'
      and p.last_key >= ${requestId} and p.last_key < ${endOfIdsMonth(requestId)} and p.first_key <= ${requestId}
    limit ${limit}`);
}

/**
 * The parts that hold requests with ids in a range, the newest first; for a batch together with the query of D1's own
 * rows, so that both see one state.
 * @param range.before exclusive
 */
export function partsBetween(
  db: Database,
  range: { accountId: string; first: string; before: string; limit: number },
) {
  return db
    .select()
    .from(archivePart)
    .where(
      and(
        ofKind(range.accountId, 'requests'),
        gte(archivePart.lastKey, range.first),
        lt(archivePart.lastKey, endOfIdsMonth(range.before)),
        lt(archivePart.firstKey, range.before),
      ),
    )
    .orderBy(desc(archivePart.lastKey))
    .limit(range.limit);
}

/** The account's parts of a kind after number `afterSeq`, in their order. */
export function partsAfter(
  db: Database,
  which: { accountId: string; kind: ArchiveKind; afterSeq: number; limit: number },
) {
  return db
    .select()
    .from(archivePart)
    .where(and(ofKind(which.accountId, which.kind), gt(archivePart.seq, which.afterSeq)))
    .orderBy(asc(archivePart.seq))
    .limit(which.limit);
}

/**
 * The parts that hold ledger entries with these numbers, the oldest first.
 * @param range.toSeq inclusive
 */
export function ledgerParts(
  db: Database,
  range: { accountId: string; fromSeq: number; toSeq: number; limit: number },
) {
  return db
    .select()
    .from(archivePart)
    .where(
      and(
        ofKind(range.accountId, 'ledger'),
        gte(archivePart.lastKey, entryKey(range.fromSeq)),
        lte(archivePart.firstKey, entryKey(range.toSeq)),
      ),
    )
    .orderBy(asc(archivePart.lastKey))
    .limit(range.limit);
}

function ofKind(accountId: string, kind: ArchiveKind) {
  return and(eq(archivePart.accountId, accountId), eq(archivePart.kind, kind));
}

/** Whether anything of the account is archived. */
export async function hasParts(db: Database, accountId: string): Promise<boolean> {
  const row = await db
    .select({ seq: archivePart.seq })
    .from(archivePart)
    .where(eq(archivePart.accountId, accountId))
    .limit(1)
    .get();
  return row !== undefined;
}

/**
 * The parts that hold requests with ids from `first` on, the oldest first.
 * @param which.before exclusive
 */
export function partsFrom(
  db: Database,
  which: { accountId: string; first: string; before?: string; limit?: number },
): Promise<PartRow[]> {
  const { accountId, first, before, limit } = which;
  return db
    .select()
    .from(archivePart)
    .where(
      and(
        ofKind(accountId, 'requests'),
        gte(archivePart.lastKey, first),
        before === undefined ? undefined : lt(archivePart.firstKey, before),
      ),
    )
    .orderBy(asc(archivePart.lastKey))
    .limit(limit ?? -1);
}
