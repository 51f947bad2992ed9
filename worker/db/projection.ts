/**
 * What Wallets tell D1: usage rows with their hourly rollups, ledger entries, node receipts, notices, drift. Each item
 * lands once however often it is told: `projection` remembers the highest number that an account was told, and every
 * statement of a batch asks whether that is still so. A batch is a few statements, each over one JSON table of rows
 * that are summed already, because D1 runs one statement at a time for everybody and bills each row written.
 */
import type { Entry } from '../domain/ledger.ts';
import type { NanoUsd } from '../domain/money.ts';
import type { Notification } from '../domain/notice.ts';
import type { DriftKind, WriteOff } from '../domain/reconciliation.ts';
import type { RequestRecord, WalletReceipt } from '../domain/wallet.ts';
import type { Database } from './client.ts';
import { askReceipts, type SettledReceipt, settledReceipts } from './projection-receipts.ts';
import * as rows from './projection-rows.ts';
import * as sql from './projection-sql.ts';

/** A request as it ended, and what of its charge granted credit paid. */
export interface ToldRequest extends RequestRecord {
  readonly grantedNanoUsd: NanoUsd;
}

export type OutboxItem =
  /** all ended requests of one settlement; alike in nothing but the account */
  | { kind: 'usage'; accountId: string; requests: readonly ToldRequest[] }
  | { kind: 'entry'; accountId: string; entry: Entry }
  /** receipts of one node that say what was billed: nothing to look at, so they are counted and have no rows */
  | {
      kind: 'witnessed';
      accountId: string;
      nodeId: string;
      receivedAtMs: number;
      receipts: number;
      promptTokens: number;
      completionTokens: number;
      newestEndedAtMs: number;
      /** requests whose absence had been alerted of */
      late: readonly string[];
    }
  /** a receipt that says something else, or of a request that the Wallet does not know (any more): a row each */
  | {
      kind: 'receipt';
      accountId: string;
      receivedAtMs: number;
      receipt: WalletReceipt;
      /** null: the Wallet does not know the request (any more) */
      writeOff: WriteOff | null;
      /** it came after its absence had been alerted of */
      late: boolean;
    }
  | {
      kind: 'drift';
      accountId: string;
      drift: DriftKind;
      requestId: string;
      nodeId: string;
      detail: Record<string, string | number>;
      foundAtMs: number;
    }
  | { kind: 'notice'; notification: Notification }
  /** for the queue alone */
  | { kind: 'recharge'; accountId: string };

export type Of<K extends OutboxItem['kind']> = Extract<OutboxItem, { kind: K }>;

export interface NumberedItem {
  /** rises along an account's outbox and is never used again; items of one number are told together */
  readonly seq: number;
  readonly item: OutboxItem;
}

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
    news.flatMap(({ item }) => (item.kind === kind ? [item as Of<K>] : []));
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
  told: { accountId: string; requests: readonly ToldRequest[]; items: readonly Of<'receipt'>[] },
): Promise<SettledReceipt[]> {
  if (told.items.length === 0) return [];
  return settledReceipts(told, await askReceipts(db, told));
}
