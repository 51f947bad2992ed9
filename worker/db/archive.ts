/** The rows that are due to leave D1, and the transaction in which they do. worker/archive writes them to R2. */
import { and, asc, eq, gt, lt, type SQL, sql } from 'drizzle-orm';
import { PART_ROWS_MAX } from '../domain/archive.ts';
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

/** Lists the account's oldest requests that are due, as many as a part takes. */
export async function dueRequests(
  db: Database,
  { accountId, keptFromMs }: { accountId: string; keptFromMs: number },
): Promise<DueRequest[]> {
  const events = await db
    .select()
    .from(usageEvent)
    .where(and(eq(usageEvent.accountId, accountId), lt(usageEvent.requestId, firstIdAt('req', keptFromMs))))
    .orderBy(asc(usageEvent.requestId))
    .limit(PART_ROWS_MAX);
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
export async function dueEntries(
  db: Database,
  { accountId, keptFromMs }: { accountId: string; keptFromMs: number },
): Promise<EntryRow[]> {
  const rows = await db
    .select()
    .from(ledgerEntry)
    .where(and(eq(ledgerEntry.accountId, accountId), gt(ledgerEntry.seq, archivedToSeq(accountId))))
    .orderBy(asc(ledgerEntry.seq))
    .limit(PART_ROWS_MAX);
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
  const { accountId } = part;
  const ids = JSON.stringify(leaving.requestIds);
  const isRecorded = sql`exists (select 1 from archive_part as p
    where p.account_id = ${accountId} and p.kind = ${part.kind} and p.seq = ${part.seq} and p.hash = ${part.hash})`;
  const present =
    leaving.entries === null
      ? sql`(select count(*) from json_each(${ids}) as i
          cross join usage_event as u on u.account_id = ${accountId} and u.request_id = i.value)`
      : sql`(select count(*) from ledger_entry as e where e.account_id = ${accountId}
          and e.seq between ${leaving.entries.firstSeq} and ${leaving.entries.lastSeq})`;
  const values = sql.join(
    Object.values(archivePartColumns(part)).map((value) => sql`${value}`),
    sql`, `,
  );
  const receipts = JSON.stringify(leaving.receipts.map(({ requestId, nodeId }) => [requestId, nodeId]));
  const findings = JSON.stringify(
    leaving.findings.map(({ requestId, nodeId, kind }) => [requestId, nodeId, kind]),
  );
  const results = await db.batch([
    db.run(sql`insert into archive_part (${sql.raw(Object.keys(archivePartColumns(part)).join(', '))})
      select ${values} where ${present} = ${part.rows}
        and exists (select 1 from archive_run where token = ${token})`),
    db.run(sql`delete from usage_event where account_id = ${accountId}
      and request_id in (select value from json_each(${ids})) and ${isRecorded}`),
    db.run(sql`delete from node_receipt where ${isRecorded}
      and (request_id, node_id) in (select value ->> 0, value ->> 1 from json_each(${receipts}))`),
    db.run(sql`delete from drift where ${isRecorded} and resolved_at_ms is not null
      and (request_id, node_id, kind) in (select value ->> 0, value ->> 1, value ->> 2 from json_each(${findings}))`),
    db.run(sql`delete from ledger_entry where account_id = ${accountId} and kind = 'charge' and ${isRecorded}
      and seq between ${leaving.entries?.firstSeq ?? 1} and ${leaving.entries?.lastSeq ?? 0}`),
    db.run(sql`update archive_run set writing_key = null where token = ${token} and ${isRecorded}`),
  ]);
  return results[0].meta.changes === 1;
}

function archivePartColumns(part: PartRow) {
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
