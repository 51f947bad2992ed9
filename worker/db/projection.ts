/**
 * What Wallets tell D1: usage rows with their hourly rollups, ledger entries, node receipts, notices, drift. Each item
 * lands once however often it is told: `projection` remembers the highest number that an account was told, and every
 * statement of a batch asks whether that is still so. A batch is a few statements, each over one JSON table of rows
 * that are summed already, because D1 runs one statement at a time for everybody and bills each row written.
 */
import type { NumberedItem, OutboxItem, OutboxItemOf, UsageRecord } from '../domain/outbox.ts';
import type { Database } from './client.ts';
import { askReceipts, type SettledReceipt, settledReceipts } from './projection-receipts.ts';
import * as rows from './projection-rows.ts';
import * as sql from './projection-sql.ts';

/**
 * Writes items of one Wallet's outbox, in its order, in one transaction. What D1 has been told already is passed over.
 * Throws when D1 did; telling it again is safe, also by two at once.
 */
export async function project(
  db: Database,
  accountId: string,
  items: readonly NumberedItem[],
): Promise<void> {
  for (;;) {
    const toldSeq = await toldSeqOf(db, accountId);
    const news = items.filter(({ seq }) => seq > toldSeq);
    if (news.length === 0 || (await tell(db, { accountId, toldSeq }, news))) return;
  }
}

async function toldSeqOf(db: Database, accountId: string): Promise<number> {
  const seq = await db.$client.prepare(sql.TOLD_SEQ).bind(accountId).first<number>('told_seq');
  return seq ?? 0;
}

/** @returns false when somebody else told D1 something in between: then nothing was written */
async function tell(
  db: Database,
  { accountId, toldSeq }: { accountId: string; toldSeq: number },
  news: readonly NumberedItem[],
): Promise<boolean> {
  const of = <K extends OutboxItem['kind']>(kind: K) =>
    news.flatMap(({ item }) => (item.kind === kind ? [item as OutboxItemOf<K>] : []));
  const requests = of('usage').flatMap((item) => item.requests);
  const witnessed = of('witnessed');
  const drift = of('drift');
  const receipts = await receiptsAmong(db, { accountId, requests, items: of('receipt') });
  const late = [
    ...witnessed.flatMap(rows.lateOfWitnessed),
    ...receipts.filter(({ late }) => late).map(rows.late),
  ];

  const prepared = (statement: string, ...values: unknown[]) =>
    db.$client.prepare(statement).bind(accountId, toldSeq, ...values);
  const sent = ({ text, columns }: sql.Statement, some: readonly rows.Row[]) =>
    rows.inParts(columns, some).map((json) => prepared(text, json));
  const seq = Math.max(...news.map((each) => each.seq));
  const count = rows.counts({ requests, witnessed, receipts, drift });
  const results = await db.$client.batch([
    ...sent(sql.USAGE, requests.map(rows.usage)),
    ...sent(sql.USAGE_HOUR, rows.usageHours(requests)),
    ...sent(sql.NODE_HOUR, rows.nodeHours(requests)),
    ...sent(sql.KEYS_USED, rows.keysUsed(requests)),
    ...unevenCharges(),
    ...sent(sql.ENTRIES, of('entry').map(rows.entry)),
    ...sent(sql.RECEIPTS, receipts.map(rows.receipt)),
    ...sent(sql.RECEIPT_HOUR, rows.receiptHours(witnessed, receipts)),
    ...sent(sql.DRIFT, drift.map(rows.drift)),
    ...sent(sql.LATE_RECEIPTS, late),
    ...sent(sql.NOTICES, of('notice').map(rows.notice)),
    prepared(sql.TOLD, seq, count.billed, count.witnessed, count.missed, rows.inOne(sql.LATE_COLUMNS, late)),
  ]);
  return results.at(-1)!.meta.changes === 1;

  function unevenCharges(): D1PreparedStatement[] {
    if (requests.length === 0) return [];
    const ids = requests.map(({ requestId }) => requestId).sort();
    const sums = rows.inOne(sql.PRICE_SUM_COLUMNS, rows.priceSums(requests));
    return [prepared(sql.UNEVEN_CHARGES, sums, ids[0], ids.at(-1))];
  }
}

async function receiptsAmong(
  db: Database,
  told: { accountId: string; requests: readonly UsageRecord[]; items: readonly OutboxItemOf<'receipt'>[] },
): Promise<SettledReceipt[]> {
  if (told.items.length === 0) return [];
  return settledReceipts(told, await askReceipts(db, told));
}
