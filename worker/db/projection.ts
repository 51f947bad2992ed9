/**
 * What Wallets tell D1: usage rows with their hourly rollup, ledger entries, node receipts, notices, drift. Each item
 * lands at most once however often it is told: the row's own id decides, and a rollup counts only what is not there yet.
 * A batch is a few statements over one JSON table of its rows, because D1 runs one statement at a time for everybody.
 */
import type { Entry } from '../domain/ledger.ts';
import type { NanoUsd } from '../domain/money.ts';
import type { Notification } from '../domain/notice.ts';
import { type DriftKind, type WriteOff, writeOff } from '../domain/reconciliation.ts';
import type { RequestRecord, WalletReceipt } from '../domain/wallet.ts';
import type { Database } from './client.ts';
import { findRequest } from './requests.ts';

export type OutboxItem =
  | {
      kind: 'usage';
      accountId: string;
      request: RequestRecord;
      /** part of the charge that granted credit paid */
      grantedNanoUsd: NanoUsd;
    }
  | { kind: 'entry'; accountId: string; entry: Entry }
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

type Of<K extends OutboxItem['kind']> = Extract<OutboxItem, { kind: K }>;
type Row = Record<string, string | number | boolean | null>;

/** Writes the items in one transaction. Throws when D1 did; telling it again is safe. */
export async function project(db: Database, items: readonly OutboxItem[]): Promise<void> {
  const known = await Promise.all(items.map((item) => withWriteOff(db, item)));
  const of = <K extends OutboxItem['kind']>(kind: K) =>
    known.filter((item): item is Of<K> => item.kind === kind);
  const receipts = of('receipt');
  const statements = [
    ...told(
      db,
      USAGE,
      once(of('usage').map(usageRow), ({ request_id }) => request_id),
    ),
    ...told(db, ENTRIES, of('entry').map(entryRow)),
    ...told(
      db,
      RECEIPTS,
      once(receipts.map(receiptRow), (row) => `${row.request_id} ${row.node_id}`),
    ),
    ...told(db, LATE_RECEIPTS, receipts.filter(({ late }) => late).map(receiptRow)),
    ...told(db, DRIFT, of('drift').map(driftRow)),
    ...told(db, NOTICES, of('notice').map(noticeRow)),
  ];
  if (statements.length > 0) await db.$client.batch(statements);
}

/** A receipt that is days late meets a Wallet that has forgotten its request: D1 still knows what was billed. */
async function withWriteOff(db: Database, item: OutboxItem): Promise<OutboxItem> {
  if (item.kind !== 'receipt' || item.writeOff !== null) return item;
  const { accountId, receipt } = item;
  const request = await findRequest(db, { accountId, requestId: receipt.requestId });
  const settled = request && { ...request, ending: request.ending!, billed: request.usage };
  return { ...item, writeOff: writeOff(receipt, settled), late: request !== null };
}

function told(db: Database, statements: readonly string[], rows: readonly Row[]): D1PreparedStatement[] {
  if (rows.length === 0) return [];
  const json = JSON.stringify(rows);
  return statements.map((statement) => db.$client.prepare(statement).bind(json));
}

/** A batch that tells a thing twice must not count it twice. */
function once(rows: readonly Row[], nameOf: (row: Row) => unknown): Row[] {
  return [...new Map(rows.map((row) => [nameOf(row), row])).values()];
}

// ---- rows, by the columns of their tables ----

function usageRow({ accountId, request, grantedNanoUsd }: Of<'usage'>): Row {
  return {
    request_id: request.requestId,
    account_id: accountId,
    key_id: request.keyId,
    model_id: request.modelId,
    node_id: request.nodeId,
    admitted_at_ms: request.admittedAtMs,
    ended_at_ms: request.endedAtMs,
    state: request.state,
    ending: request.ending,
    stream: request.stream ? 1 : 0,
    prompt_tokens: request.usage.promptTokens,
    cached_tokens: request.usage.cachedTokens,
    completion_tokens: request.usage.completionTokens,
    reasoning_tokens: request.usage.reasoningTokens,
    price_id: request.price.id,
    charge_nano_usd: request.chargeNanoUsd,
    granted_nano_usd: grantedNanoUsd,
    entry_seq: request.entrySeq,
    ttft_ms: request.ttftMs,
  };
}

function entryRow({ accountId, entry }: Of<'entry'>): Row {
  return {
    account_id: accountId,
    seq: entry.seq,
    at_ms: entry.atMs,
    kind: entry.kind,
    granted_nano_usd: entry.grantedNanoUsd,
    paid_nano_usd: entry.paidNanoUsd,
    balance_nano_usd: entry.balanceNanoUsd,
    reference: entry.reference,
    hash: entry.hash,
  };
}

function receiptRow({ accountId, receipt, receivedAtMs, writeOff }: Of<'receipt'>): Row {
  return {
    request_id: receipt.requestId,
    node_id: receipt.nodeId,
    account_id: accountId,
    received_at_ms: receivedAtMs,
    outcome: receipt.outcome,
    prompt_tokens: receipt.usage.promptTokens,
    cached_tokens: receipt.usage.cachedTokens,
    completion_tokens: receipt.usage.completionTokens,
    reasoning_tokens: receipt.usage.reasoningTokens,
    written_off_prompt_tokens: writeOff!.promptTokens,
    written_off_completion_tokens: writeOff!.completionTokens,
    write_off_reason: writeOff!.reason,
  };
}

function driftRow({ requestId, nodeId, drift, accountId, foundAtMs, detail }: Of<'drift'>): Row {
  return {
    request_id: requestId,
    node_id: nodeId,
    kind: drift,
    account_id: accountId,
    found_at_ms: foundAtMs,
    detail: JSON.stringify(detail),
  };
}

function noticeRow({ notification: { id, accountId, atMs, notice } }: Of<'notice'>): Row {
  return { id, account_id: accountId, at_ms: atMs, kind: notice.kind, facts: JSON.stringify(notice) };
}

// ---- statements: each reads its rows from one JSON parameter ----

const USAGE_COLUMNS = `request_id account_id key_id model_id node_id admitted_at_ms ended_at_ms state ending stream
  prompt_tokens cached_tokens completion_tokens reasoning_tokens price_id charge_nano_usd granted_nano_usd entry_seq ttft_ms`;
const ENTRY_COLUMNS =
  'account_id seq at_ms kind granted_nano_usd paid_nano_usd balance_nano_usd reference hash';
const RECEIPT_COLUMNS = `request_id node_id account_id received_at_ms outcome prompt_tokens cached_tokens
  completion_tokens reasoning_tokens written_off_prompt_tokens written_off_completion_tokens write_off_reason`;
const DRIFT_COLUMNS = 'request_id node_id kind account_id found_at_ms detail';
const NOTICE_COLUMNS = 'id account_id at_ms kind facts';

/** The rows that were sent, as a table. */
function sent(columns: string): string {
  const values = columns.split(/\s+/).map((column) => `value ->> '${column}' AS ${column}`);
  return `(SELECT ${values.join(', ')} FROM json_each(?1))`;
}

function insertNew(table: string, columns: string): string {
  const names = columns.split(/\s+/).join(', ');
  return `INSERT INTO ${table} (${names}) SELECT * FROM ${sent(columns)} WHERE true ON CONFLICT DO NOTHING`;
}

/** The rollups come before the rows: what is there already has been counted. */
const USAGE = [
  `INSERT INTO usage_hour (account_id, hour_ms, key_id, model_id, requests, cached_tokens, uncached_tokens,
     reasoning_tokens, answer_tokens, charge_nano_usd, cache_saving_nano_usd)
   SELECT account_id, admitted_at_ms - admitted_at_ms % 3600000, key_id, model_id, count(*), sum(cached_tokens),
     sum(prompt_tokens - cached_tokens), sum(reasoning_tokens), sum(completion_tokens - reasoning_tokens),
     sum(charge_nano_usd), coalesce(sum(cached_tokens * (
       SELECT cache_miss_nano_usd - cache_hit_nano_usd FROM price WHERE id = price_id)), 0)
   FROM ${sent(USAGE_COLUMNS)} AS sent
   WHERE NOT EXISTS (SELECT 1 FROM usage_event AS known WHERE known.request_id = sent.request_id)
   GROUP BY 1, 2, 3, 4
   ON CONFLICT DO UPDATE SET requests = requests + excluded.requests,
     cached_tokens = cached_tokens + excluded.cached_tokens,
     uncached_tokens = uncached_tokens + excluded.uncached_tokens,
     reasoning_tokens = reasoning_tokens + excluded.reasoning_tokens,
     answer_tokens = answer_tokens + excluded.answer_tokens,
     charge_nano_usd = charge_nano_usd + excluded.charge_nano_usd,
     cache_saving_nano_usd = cache_saving_nano_usd + excluded.cache_saving_nano_usd`,
  `INSERT INTO node_hour (node_id, hour_ms, requests, prompt_tokens, cached_tokens, completion_tokens, charge_nano_usd,
     granted_nano_usd)
   SELECT node_id, admitted_at_ms - admitted_at_ms % 3600000, count(*), sum(prompt_tokens), sum(cached_tokens),
     sum(completion_tokens), sum(charge_nano_usd), sum(granted_nano_usd)
   FROM ${sent(USAGE_COLUMNS)} AS sent
   WHERE node_id IS NOT NULL
     AND NOT EXISTS (SELECT 1 FROM usage_event AS known WHERE known.request_id = sent.request_id)
   GROUP BY 1, 2
   ON CONFLICT DO UPDATE SET requests = requests + excluded.requests,
     prompt_tokens = prompt_tokens + excluded.prompt_tokens,
     cached_tokens = cached_tokens + excluded.cached_tokens,
     completion_tokens = completion_tokens + excluded.completion_tokens,
     charge_nano_usd = charge_nano_usd + excluded.charge_nano_usd,
     granted_nano_usd = granted_nano_usd + excluded.granted_nano_usd`,
  insertNew('usage_event', USAGE_COLUMNS),
  `UPDATE api_key SET last_used_at_ms = sent.at_ms
   FROM (SELECT key_id, max(admitted_at_ms) AS at_ms FROM ${sent(USAGE_COLUMNS)} GROUP BY key_id) AS sent
   WHERE id = sent.key_id AND coalesce(last_used_at_ms, 0) < sent.at_ms`,
  // a charge that is not usage × the price that it names: the Wallet cannot know that row, D1 does
  `INSERT INTO drift (request_id, node_id, kind, account_id, found_at_ms, detail)
   SELECT request_id, '', 'price', account_id, ended_at_ms,
     json_object('priceId', price_id, 'charged', charge_nano_usd, 'recomputed', recomputed)
   FROM (
     SELECT sent.*, cached_tokens * cache_hit_nano_usd + (prompt_tokens - cached_tokens) * cache_miss_nano_usd
       + completion_tokens * output_nano_usd AS recomputed
     FROM ${sent(USAGE_COLUMNS)} AS sent LEFT JOIN price ON price.id = sent.price_id
   )
   WHERE recomputed IS NOT charge_nano_usd ON CONFLICT DO NOTHING`,
];
const ENTRIES = [insertNew('ledger_entry', ENTRY_COLUMNS)];
const RECEIPTS = [
  `INSERT INTO receipt_hour (node_id, hour_ms, reason, receipts, prompt_tokens, completion_tokens,
     written_off_prompt_tokens, written_off_completion_tokens)
   SELECT node_id, received_at_ms - received_at_ms % 3600000, coalesce(write_off_reason, ''), count(*),
     sum(prompt_tokens), sum(completion_tokens), sum(written_off_prompt_tokens), sum(written_off_completion_tokens)
   FROM ${sent(RECEIPT_COLUMNS)} AS sent
   WHERE NOT EXISTS (SELECT 1 FROM node_receipt AS known
     WHERE known.request_id = sent.request_id AND known.node_id = sent.node_id)
   GROUP BY 1, 2, 3
   ON CONFLICT DO UPDATE SET receipts = receipts + excluded.receipts,
     prompt_tokens = prompt_tokens + excluded.prompt_tokens,
     completion_tokens = completion_tokens + excluded.completion_tokens,
     written_off_prompt_tokens = written_off_prompt_tokens + excluded.written_off_prompt_tokens,
     written_off_completion_tokens = written_off_completion_tokens + excluded.written_off_completion_tokens`,
  insertNew('node_receipt', RECEIPT_COLUMNS),
];
/** What was missed has come. */
const LATE_RECEIPTS = [
  `UPDATE drift SET resolved_at_ms = sent.received_at_ms FROM ${sent(RECEIPT_COLUMNS)} AS sent
   WHERE drift.request_id = sent.request_id AND drift.node_id = sent.node_id AND drift.kind = 'receipt_missing' AND drift.resolved_at_ms IS NULL`,
];
const DRIFT = [insertNew('drift', DRIFT_COLUMNS)];
const NOTICES = [insertNew('notice', NOTICE_COLUMNS)];
