/**
 * The ledger entries and requests of an account that D1 has, for the ledger audit and for entries that a Wallet has folded;
 * worker/archive adds those that D1 has no more.
 */
import { and, asc, eq, gt, gte, lte, sql } from 'drizzle-orm';
import type { Entry } from '../domain/ledger.ts';
import type { ChargedRequest, Finding } from '../domain/ledger-audit.ts';
import { nanoUsd } from '../domain/money.ts';
import type { Database } from './client.ts';
import { requestIdsIn } from './requests.ts';
import { ledgerEntry, price, usageEvent } from './schema.ts';

interface SeqRange {
  readonly accountId: string;
  /** Exclusive. */
  readonly afterSeq: number;
  /** Inclusive. */
  readonly toSeq: number;
}

/** The query for D1's copies of entries, oldest first; worker/archive/ledger.ts adds those that it has no more. */
export function entriesOf(db: Database, range: SeqRange) {
  const { seq } = ledgerEntry;
  return db
    .select()
    .from(ledgerEntry)
    .where(and(eq(ledgerEntry.accountId, range.accountId), gt(seq, range.afterSeq), lte(seq, range.toSeq)))
    .orderBy(asc(seq));
}

/** D1's copy of an entry, other than a charge, with this reference; null: it has none. */
export async function projectedEntry(
  db: Database,
  { accountId, kind, reference }: { accountId: string } & Pick<Entry, 'kind' | 'reference'>,
): Promise<Entry | null> {
  const row = await db
    .select()
    .from(ledgerEntry)
    .where(
      and(
        eq(ledgerEntry.accountId, accountId),
        eq(ledgerEntry.kind, kind),
        // In these words the index by reference says which entries it has.
        sql`${ledgerEntry.kind} <> 'charge'`,
        eq(ledgerEntry.reference, reference),
      ),
    )
    .get();
  return row === undefined ? null : toEntry(row);
}

export function toEntry({ accountId: _, ...row }: typeof ledgerEntry.$inferSelect): Entry {
  return {
    ...row,
    grantedNanoUsd: nanoUsd(row.grantedNanoUsd),
    paidNanoUsd: nanoUsd(row.paidNanoUsd),
    balanceNanoUsd: nanoUsd(row.balanceNanoUsd),
  };
}

/** Rows read per query: there may be many more ids between the first and the last. */
const ROWS_A_QUERY = 5_000;

/**
 * Finds the requests that a range of entries charged. No index has an entry's number, so they are searched for among
 * the ids from the first to the last that the entries refer to.
 */
export async function findChargedRequests(
  db: Database,
  range: SeqRange,
  ids: { first: string; last: string },
): Promise<ChargedRequest[]> {
  const { accountId, requestId, entrySeq } = usageEvent;
  const requests: ChargedRequest[] = [];
  for (let from = gte(requestId, ids.first); ; ) {
    const rows = await db
      .select({ event: usageEvent, price })
      .from(usageEvent)
      .innerJoin(price, eq(price.id, usageEvent.priceId))
      .where(
        and(
          eq(accountId, range.accountId),
          from,
          lte(requestId, ids.last),
          gt(entrySeq, range.afterSeq),
          lte(entrySeq, range.toSeq),
        ),
      )
      .orderBy(asc(requestId))
      .limit(ROWS_A_QUERY);
    for (const { event, price } of rows) {
      const { promptTokens, cachedTokens, completionTokens, reasoningTokens } = event;
      requests.push({
        requestId: event.requestId,
        entrySeq: event.entrySeq!,
        usage: { promptTokens, cachedTokens, completionTokens, reasoningTokens },
        price,
        chargeNanoUsd: event.chargeNanoUsd,
      });
    }
    if (rows.length < ROWS_A_QUERY) return requests;
    from = gt(requestId, rows.at(-1)!.event.requestId);
  }
}

/** The archived requests of an hour. */
export interface HourSum {
  readonly hourMs: number;
  readonly requests: number;
  readonly chargeNanoUsd: number;
}

/**
 * Finds hours whose rollup is not the sum of their requests: those that D1 has and those of the archive.
 * @param span from the beginning of an hour to the beginning of another
 */
export async function mismatchedHours(
  db: Database,
  { accountId, fromMs, toMs }: { accountId: string; fromMs: number; toMs: number },
  archived: readonly HourSum[],
): Promise<Finding[]> {
  const { first, end } = requestIdsIn({ fromMs, toMs });
  const sums = JSON.stringify(
    archived.map(({ hourMs, requests, chargeNanoUsd }) => [hourMs, requests, chargeNanoUsd]),
  );
  const rows = await db.all<{
    hour_ms: number;
    requests: number;
    charge: number;
    r_requests: number;
    r_charge: number;
  }>(sql`
    SELECT coalesce(e.hour_ms, h.hour_ms) AS hour_ms, coalesce(e.n, 0) AS requests, coalesce(e.charge, 0) AS charge,
      coalesce(h.n, 0) AS r_requests, coalesce(h.charge, 0) AS r_charge
    FROM (
      SELECT hour_ms, sum(n) AS n, sum(charge) AS charge FROM (
        SELECT admitted_at_ms - admitted_at_ms % 3600000 AS hour_ms, count(*) AS n, sum(charge_nano_usd) AS charge
        FROM usage_event WHERE account_id = ${accountId} AND request_id >= ${first} AND request_id < ${end}
          AND admitted_at_ms >= ${fromMs} AND admitted_at_ms < ${toMs} GROUP BY 1
        UNION ALL SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(${sums})
      ) GROUP BY 1) AS e
    FULL JOIN (SELECT hour_ms, sum(requests) AS n, sum(charge_nano_usd) AS charge
          FROM usage_hour WHERE account_id = ${accountId} AND hour_ms >= ${fromMs} AND hour_ms < ${toMs} GROUP BY 1) AS h
      ON h.hour_ms = e.hour_ms
    WHERE e.n IS NOT h.n OR e.charge IS NOT h.charge`);
  return rows.map((row) => ({
    about: `hour ${new Date(row.hour_ms).toISOString()}`,
    what: `has ${row.requests} requests for ${row.charge}, its rollup says ${row.r_requests} for ${row.r_charge}`,
  }));
}
