/** The rows that are due to leave D1, and the transaction in which they do. worker/archive writes them to R2. */
import { and, asc, eq, gt, lt, type SQL, sql } from 'drizzle-orm';
import { firstIdAt } from '../domain/ids.ts';
import type { PartRow } from './archive-parts.ts';
import type { Database } from './client.ts';
import type { DriftRow } from './drift.ts';
import type { ReceiptRow, RequestRow } from './requests.ts';
import { drift, ledgerEntry, nodeReceipt, usageEvent } from './schema.ts';

export type EntryRow = typeof ledgerEntry.$inferSelect;

/** An ended request with what the nodes and the reconciliation say of it, as one line of the archive. */
export interface DueRequest {
  readonly event: RequestRow;
  readonly receipts: readonly ReceiptRow[];
  /** Findings that have been resolved; open ones stay in D1. */
  readonly findings: readonly DriftRow[];
}

/** Accounts that one query looks at. */
const ACCOUNTS_A_QUERY = 2_000;

/**
 * Finds the first account after `after` that has requests or ledger entries older than `keptFromMs`, among the next
 * thousands of accounts.
 * @returns `lastSeen`: where to go on when none of them has; null: there are no more accounts
 */
export async function nextDueAccount(
  db: Database,
  { after, keptFromMs }: { after: string; keptFromMs: number },
): Promise<{ accountId: string | null; lastSeen: string | null }> {
  const firstKept = firstIdAt('req', keptFromMs);
  return db.get<{ accountId: string | null; lastSeen: string | null }>(sql`
    with seen as materialized (select id from account where id > ${after} order by id limit ${ACCOUNTS_A_QUERY})
    select (
      select id from seen
      where exists (select 1 from usage_event as u where u.account_id = seen.id and u.request_id < ${firstKept})
        or (select e.at_ms from ledger_entry as e where e.account_id = seen.id and e.seq > ${archivedToSeq(sql`seen.id`)}
          order by e.seq limit 1) < ${keptFromMs}
      order by id limit 1
    ) as accountId, (select max(id) from seen) as lastSeen`);
}

/** SQL for the number of the account's last archived ledger entry; 0: none is archived. */
function archivedToSeq(accountId: SQL | string): SQL<number> {
  return sql`coalesce((select cast(max(p.last_key) as integer) from archive_part as p
    where p.account_id = ${accountId} and p.kind = 'ledger'), 0)`;
}

export interface Due {
  readonly accountId: string;
  /** The beginning of the first month that stays in D1. */
  readonly keptFromMs: number;
  /** Rows of a part at most. */
  readonly rowsMax: number;
}

/** Lists the account's oldest requests that are due, as many as a part takes. */
export async function dueRequests(
  db: Database,
  { accountId, keptFromMs, rowsMax }: Due,
): Promise<DueRequest[]> {
  const events = await db
    .select()
    .from(usageEvent)
    .where(and(eq(usageEvent.accountId, accountId), lt(usageEvent.requestId, firstIdAt('req', keptFromMs))))
    .orderBy(asc(usageEvent.requestId))
    .limit(rowsMax);
  if (events.length === 0) return [];
  const ids = JSON.stringify(events.map(({ requestId }) => requestId));
  const ofIds = (table: SQL) => sql`${table}.request_id in (select value from json_each(${ids}))`;
  const [receipts, findings] = await db.batch([
    db
      .select()
      .from(nodeReceipt)
      .where(and(ofIds(sql`node_receipt`), eq(nodeReceipt.accountId, accountId))),
    db
      .select()
      .from(drift)
      .where(and(ofIds(sql`drift`), eq(drift.accountId, accountId), sql`resolved_at_ms is not null`)),
  ]);
  const receiptsOf = Map.groupBy(receipts, ({ requestId }) => requestId);
  const findingsOf = Map.groupBy(findings, ({ requestId }) => requestId);
  return events.map((event) => ({
    event,
    receipts: receiptsOf.get(event.requestId) ?? [],
    findings: findingsOf.get(event.requestId) ?? [],
  }));
}

/** Lists the account's oldest ledger entries that are due and not archived, as many as a part takes. */
export async function dueEntries(db: Database, { accountId, keptFromMs, rowsMax }: Due): Promise<EntryRow[]> {
  const rows = await db
    .select()
    .from(ledgerEntry)
    .where(and(eq(ledgerEntry.accountId, accountId), gt(ledgerEntry.seq, archivedToSeq(accountId))))
    .orderBy(asc(ledgerEntry.seq))
    .limit(rowsMax);
  const end = rows.findIndex(({ atMs }) => atMs >= keptFromMs);
  return end === -1 ? rows : rows.slice(0, end);
}

/** The rows that leave D1 with a part: keys of its tables. */
export interface LeavingRows {
  readonly requestIds: readonly string[];
  readonly receipts: readonly ReceiptRow[];
  readonly findings: readonly DriftRow[];
  /** null: the part holds no ledger entries. */
  readonly entries: { readonly firstSeq: number; readonly lastSeq: number } | null;
}

/**
 * Records a part and deletes its rows from D1, in one transaction: a row is in D1 or in the archive, never in both or
 * in neither. Grants, payments and corrections stay in D1 too, because orders are compared with them.
 * @param token of the run that wrote the object
 * @returns false when nothing was done: the run has lost its claim, or the rows are not all there any more
 */
export async function recordPart(
  db: Database,
  { token, part, leaving }: { token: string; part: PartRow; leaving: LeavingRows },
): Promise<boolean> {
  const { accountId, kind, seq, hash } = part;
  const { requestIds, entries } = leaving;
  const columns = Object.entries(columnsOf(part));
  const names = columns.map(([name]) => name).join(', ');
  const values = columns.map((_, at) => `?${at + 1}`).join(', ');
  const insert = `INSERT INTO archive_part (${names}) SELECT ${values}
    WHERE (${entries === null ? REQUESTS_PRESENT : ENTRIES_PRESENT}) = ?${columns.length + 1}
      AND EXISTS (SELECT 1 FROM archive_run WHERE token = ?${columns.length + 2})`;
  const prepared = (text: string, ...rest: unknown[]) =>
    db.$client.prepare(text).bind(accountId, kind, seq, hash, ...rest);
  const results = await db.$client.batch([
    db.$client
      .prepare(insert.replaceAll('?account', '?1').replaceAll('?keys', `?${columns.length + 3}`))
      .bind(...columns.map(([, value]) => value), part.rows, token, keysOf(leaving)),
    prepared(DELETE_REQUESTS, JSON.stringify(requestIds)),
    prepared(
      DELETE_RECEIPTS,
      JSON.stringify(leaving.receipts.map(({ requestId, nodeId }) => [requestId, nodeId])),
    ),
    prepared(
      DELETE_FINDINGS,
      JSON.stringify(leaving.findings.map(({ requestId, nodeId, kind }) => [requestId, nodeId, kind])),
    ),
    prepared(DELETE_CHARGES, entries?.firstSeq ?? 1, entries?.lastSeq ?? 0),
    prepared(`UPDATE archive_run SET writing_key = NULL WHERE token = ?5 AND ${IS_RECORDED}`, token),
  ]);
  return results[0]!.meta.changes === 1;
}

/** The rows that must all be there still: ids of requests, or the first and the last number of entries, as JSON. */
function keysOf({ requestIds, entries }: LeavingRows): string {
  return JSON.stringify(entries === null ? requestIds : [entries.firstSeq, entries.lastSeq]);
}

const REQUESTS_PRESENT = `SELECT count(*) FROM json_each(?keys) AS i
  CROSS JOIN usage_event AS u ON u.account_id = ?account AND u.request_id = i.value`;
const ENTRIES_PRESENT = `SELECT count(*) FROM ledger_entry
  WHERE account_id = ?account AND seq BETWEEN ?keys ->> 0 AND ?keys ->> 1`;

// ?1 account, ?2 kind, ?3 number and ?4 hash of the part, ?5 what is deleted with it.
const IS_RECORDED = `EXISTS (SELECT 1 FROM archive_part AS p
  WHERE p.account_id = ?1 AND p.kind = ?2 AND p.seq = ?3 AND p.hash = ?4)`;
const DELETE_REQUESTS = `DELETE FROM usage_event
  WHERE account_id = ?1 AND request_id IN (SELECT value FROM json_each(?5)) AND ${IS_RECORDED}`;
const DELETE_RECEIPTS = `DELETE FROM node_receipt
  WHERE (request_id, node_id) IN (SELECT value ->> 0, value ->> 1 FROM json_each(?5)) AND ${IS_RECORDED}`;
const DELETE_FINDINGS = `DELETE FROM drift
  WHERE (request_id, node_id, kind) IN (SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(?5))
    AND resolved_at_ms IS NOT NULL AND ${IS_RECORDED}`;
const DELETE_CHARGES = `DELETE FROM ledger_entry
  WHERE account_id = ?1 AND seq BETWEEN ?5 AND ?6 AND kind = 'charge' AND ${IS_RECORDED}`;

function columnsOf(part: PartRow) {
  return {
    account_id: part.accountId,
    kind: part.kind,
    seq: part.seq,
    month: part.month,
    first_key: part.firstKey,
    last_key: part.lastKey,
    rows: part.rows,
    sum_nano_usd: part.sumNanoUsd,
    opening_balance_nano_usd: part.openingBalanceNanoUsd,
    hash: part.hash,
    object_key: part.objectKey,
    bytes: part.bytes,
    archived_at_ms: part.archivedAtMs,
  };
}
