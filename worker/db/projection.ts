/**
 * Publishes Wallets' outboxes to D1: usage rows with their hourly rollups, ledger entries, node receipts, notices and
 * drift findings.
 *
 * Each item lands once however often it is published: `projection` stores the highest sequence number that was
 * published for an account (column `told_seq`), and every statement of a batch checks that it has not moved. The same row has
 * the newest sums by node, receipt and key (open-sums.ts), so that a batch writes only its own rows, `usage_hour` and this
 * one. A batch is a few statements, each over one JSON table of rows that are already summed, because D1 runs one statement
 * at a time for everybody and bills each row written.
 */
import type { NumberedItem, OutboxItem, OutboxItemOf, UsageRecord } from '../domain/outbox.ts';
import type { Database } from './client.ts';
import { addOpenSums, type OpenSums, openSinceMs, openSumsText, parseOpenSums } from './open-sums.ts';
import {
  type FindArchived,
  lookUpReceipts,
  type SettledReceipt,
  settledReceipts,
} from './projection-receipts.ts';
import * as rows from './projection-rows.ts';
import * as sql from './projection-sql.ts';

/**
 * Writes items of one Wallet's outbox, in order and in one transaction, leaving out those already published. Throws
 * when D1 did; publishing the same items again is safe, also for two callers at once.
 * @param findArchived finds the request of a receipt that comes months late; without it that receipt's is unknown
 */
export async function project(
  db: Database,
  accountId: string,
  items: readonly NumberedItem[],
  findArchived: FindArchived = async () => null,
): Promise<void> {
  for (;;) {
    const { publishedSeq, version, open } = await stateOf(db, accountId);
    const unpublished = items.filter(({ seq }) => seq > publishedSeq);
    const from = { accountId, version, open, findArchived };
    if (unpublished.length === 0 || (await publish(db, from, unpublished))) return;
  }
}

async function stateOf(db: Database, accountId: string) {
  const row = await db.$client
    .prepare(sql.STATE)
    .bind(accountId)
    .first<{ told_seq: number; version: string; open_sums: string | null }>();
  return {
    publishedSeq: row?.told_seq ?? 0,
    version: row?.version ?? sql.NO_VERSION,
    open: parseOpenSums(row?.open_sums ?? null),
  };
}

/** @returns false when another caller published in between: then nothing was written */
async function publish(
  db: Database,
  from: { accountId: string; version: string; open: OpenSums; findArchived: FindArchived },
  items: readonly NumberedItem[],
): Promise<boolean> {
  const { accountId, version, findArchived } = from;
  const ofKind = <K extends OutboxItem['kind']>(kind: K) =>
    items.flatMap(({ item }) => (item.kind === kind ? [item as OutboxItemOf<K>] : []));
  const requests = ofKind('usage').flatMap((item) => item.requests);
  // 'witnessed' is the stored kind of receipts that match what was billed.
  const matched = ofKind('witnessed');
  const drift = ofKind('drift');
  const receipts = await readSettledReceipts(
    db,
    { accountId, requests, items: ofKind('receipt') },
    findArchived,
  );
  const late = [
    ...matched.flatMap(rows.lateReceiptsOfMatched),
    ...receipts.filter(({ late }) => late).map(rows.lateReceipt),
  ];

  const prepared = (statement: string, ...values: unknown[]) =>
    db.$client.prepare(statement).bind(accountId, version, ...values);
  const write = ({ text, columns }: sql.Statement, newRows: readonly sql.Row[]) =>
    rows.toJsonChunks(columns, newRows).map((json) => prepared(text, json));
  const seq = Math.max(...items.map((each) => each.seq));
  const count = rows.counts({ requests, matched, receipts, drift });
  const { open, full } = addOpenSums(from.open, {
    n: rows.nodeHours(requests),
    r: rows.receiptHours(matched, receipts),
    k: rows.keysUsed(requests),
  });
  const results = await db.$client.batch([
    ...write(sql.USAGE, requests.map(rows.usage)),
    ...write(sql.USAGE_HOUR, rows.usageHours(requests)),
    ...write(sql.NODE_HOUR, full.n),
    ...write(sql.KEYS_USED, full.k),
    ...findMismatchedCharges(),
    ...write(sql.ENTRIES, ofKind('entry').map(rows.entry)),
    ...write(sql.RECEIPTS, receipts.map(rows.receipt)),
    ...write(sql.RECEIPT_HOUR, full.r),
    ...write(sql.DRIFT, drift.map(rows.drift)),
    ...write(sql.LATE_RECEIPTS, late),
    ...write(sql.NOTICES, ofKind('notice').map(rows.notice)),
    prepared(
      sql.RECORD_PUBLISHED,
      seq,
      count.billed,
      count.receiptMatched,
      count.missed,
      rows.toJson(sql.LATE_COLUMNS, late),
      openSumsText(open),
      openSinceMs(open),
    ),
  ]);
  return results.at(-1)!.meta.changes === 1;

  function findMismatchedCharges(): D1PreparedStatement[] {
    if (requests.length === 0) return [];
    const ids = requests.map(({ requestId }) => requestId).sort();
    const sums = rows.toJson(sql.PRICE_SUM_COLUMNS, rows.priceSums(requests));
    return [prepared(sql.MISMATCHED_CHARGES, sums, ids[0], ids.at(-1))];
  }
}

async function readSettledReceipts(
  db: Database,
  batch: { accountId: string; requests: readonly UsageRecord[]; items: readonly OutboxItemOf<'receipt'>[] },
  findArchived: FindArchived,
): Promise<SettledReceipt[]> {
  if (batch.items.length === 0) return [];
  return settledReceipts(batch, await lookUpReceipts(db, batch, findArchived));
}
