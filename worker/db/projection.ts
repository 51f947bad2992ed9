/**
 * What Wallets tell D1: usage rows with their hourly rollup, ledger entries, node receipts. Each item lands at most
 * once however often it is told: the row's own id decides, and the rollup counts only when the row was new.
 */
import { sql } from 'drizzle-orm';
import type { BatchItem } from 'drizzle-orm/batch';
import type { Entry } from '../domain/ledger.ts';
import type { Notification } from '../domain/notice.ts';
import { type DriftKind, type WriteOff, writeOff } from '../domain/reconciliation.ts';
import type { RequestRecord, WalletReceipt } from '../domain/wallet.ts';
import type { Database } from './client.ts';
import { findRequest } from './requests.ts';
import {
  apiKey,
  drift,
  ledgerEntry,
  nodeReceipt,
  notice,
  receiptHour,
  usageEvent,
  usageHour,
} from './schema.ts';

export type OutboxItem =
  | { kind: 'usage'; accountId: string; request: RequestRecord }
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

type Statement = BatchItem<'sqlite'>;

const HOUR_MS = 3_600_000;

/** Writes the items in one transaction. Throws when D1 did; telling it again is safe. */
export async function project(db: Database, items: readonly OutboxItem[]): Promise<void> {
  const known = await Promise.all(items.map((item) => withWriteOff(db, item)));
  const statements = known.flatMap((item) => statementsOf(db, item));
  const requestIds = items.flatMap((item) => (item.kind === 'usage' ? [item.request.requestId] : []));
  if (requestIds.length > 0) statements.push(priceDriftStatement(db, requestIds));
  const [first, ...rest] = statements;
  if (first) await db.batch([first, ...rest]);
}

function statementsOf(db: Database, item: OutboxItem): Statement[] {
  switch (item.kind) {
    case 'usage':
      return usageStatements(db, item.accountId, item.request);
    case 'entry':
      return [entryStatement(db, item.accountId, item.entry)];
    case 'receipt':
      return receiptStatements(db, item);
    case 'drift': {
      const { kind: _, drift: kind, ...finding } = item;
      return [
        db
          .insert(drift)
          .values({ kind, ...finding })
          .onConflictDoNothing(),
      ];
    }
    case 'notice': {
      const { notice: facts, ...row } = item.notification;
      return [
        db
          .insert(notice)
          .values({ ...row, kind: facts.kind, facts })
          .onConflictDoNothing(),
      ];
    }
    case 'recharge':
      return [];
  }
}

/** A receipt that is days late meets a Wallet that has forgotten its request: D1 still knows what was billed. */
async function withWriteOff(db: Database, item: OutboxItem): Promise<OutboxItem> {
  if (item.kind !== 'receipt' || item.writeOff !== null) return item;
  const { accountId, receipt } = item;
  const request = await findRequest(db, { accountId, requestId: receipt.requestId });
  const settled = request && { ...request, ending: request.ending!, billed: request.usage };
  return { ...item, writeOff: writeOff(receipt, settled), late: request !== null };
}

/** Alerts of charges that are not usage × the price that they name: the Wallet cannot know the row, D1 does. */
function priceDriftStatement(db: Database, requestIds: readonly string[]): Statement {
  // the columns of the table in their order
  return db
    .insert(drift)
    .select(sql`
      SELECT u.request_id, '', 'price', u.account_id, u.ended_at_ms,
        json_object('priceId', u.price_id, 'charged', u.charge_nano_usd, 'recomputed', recomputed), NULL
      FROM (
        SELECT event.*, cached_tokens * cache_hit_nano_usd + (prompt_tokens - cached_tokens) * cache_miss_nano_usd
          + completion_tokens * output_nano_usd AS recomputed
        FROM usage_event AS event LEFT JOIN price ON price.id = event.price_id
        WHERE request_id IN (SELECT value FROM json_each(${JSON.stringify(requestIds)}))
      ) AS u
      WHERE recomputed IS NOT u.charge_nano_usd`)
    .onConflictDoNothing();
}

function usageStatements(db: Database, accountId: string, request: RequestRecord): Statement[] {
  const { usage } = request;
  const hourMs = request.admittedAtMs - (request.admittedAtMs % HOUR_MS);
  const uncached = usage.promptTokens - usage.cachedTokens;
  const answer = usage.completionTokens - usage.reasoningTokens;
  return [
    db
      .insert(usageEvent)
      .values({
        requestId: request.requestId,
        accountId,
        keyId: request.keyId,
        modelId: request.modelId,
        nodeId: request.nodeId,
        admittedAtMs: request.admittedAtMs,
        endedAtMs: request.endedAtMs!,
        state: request.state as 'posted' | 'voided' | 'expired',
        ending: request.ending!,
        stream: request.stream,
        ...usage,
        priceId: request.price.id,
        chargeNanoUsd: request.chargeNanoUsd,
        entrySeq: request.entrySeq,
        ttftMs: request.ttftMs,
      })
      .onConflictDoNothing(),
    db
      .insert(usageHour)
      // the columns of the table in their order; only when the row above was new
      .select(sql`
        SELECT ${accountId}, ${hourMs}, ${request.keyId}, ${request.modelId}, 1, ${usage.cachedTokens}, ${uncached},
          ${usage.reasoningTokens}, ${answer}, ${request.chargeNanoUsd}
        WHERE changes() = 1`)
      .onConflictDoUpdate({
        target: [usageHour.accountId, usageHour.hourMs, usageHour.keyId, usageHour.modelId],
        set: {
          requests: sql`requests + excluded.requests`,
          cachedTokens: sql`cached_tokens + excluded.cached_tokens`,
          uncachedTokens: sql`uncached_tokens + excluded.uncached_tokens`,
          reasoningTokens: sql`reasoning_tokens + excluded.reasoning_tokens`,
          answerTokens: sql`answer_tokens + excluded.answer_tokens`,
          chargeNanoUsd: sql`charge_nano_usd + excluded.charge_nano_usd`,
        },
      }),
    db
      .update(apiKey)
      .set({ lastUsedAtMs: sql`max(coalesce(${apiKey.lastUsedAtMs}, 0), ${request.admittedAtMs})` })
      .where(sql`${apiKey.id} = ${request.keyId}`),
  ];
}

function entryStatement(db: Database, accountId: string, entry: Entry): Statement {
  return db
    .insert(ledgerEntry)
    .values({ accountId, ...entry })
    .onConflictDoNothing();
}

function receiptStatements(db: Database, item: Extract<OutboxItem, { kind: 'receipt' }>): Statement[] {
  const { receipt, writeOff, receivedAtMs } = item;
  const insert = db
    .insert(nodeReceipt)
    .values({
      requestId: receipt.requestId,
      nodeId: receipt.nodeId,
      accountId: item.accountId,
      receivedAtMs,
      outcome: receipt.outcome,
      ...receipt.usage,
      writtenOffPromptTokens: writeOff!.promptTokens,
      writtenOffCompletionTokens: writeOff!.completionTokens,
      writeOffReason: writeOff!.reason,
    })
    .onConflictDoNothing();
  const rollup = db
    .insert(receiptHour)
    // the columns of the table in their order; only when the row above was new
    .select(sql`
      SELECT ${receipt.nodeId}, ${receivedAtMs - (receivedAtMs % HOUR_MS)}, ${writeOff!.reason ?? ''}, 1,
        ${receipt.usage.promptTokens}, ${receipt.usage.completionTokens}, ${writeOff!.promptTokens},
        ${writeOff!.completionTokens}
      WHERE changes() = 1`)
    .onConflictDoUpdate({
      target: [receiptHour.nodeId, receiptHour.hourMs, receiptHour.reason],
      set: {
        receipts: sql`receipts + excluded.receipts`,
        promptTokens: sql`prompt_tokens + excluded.prompt_tokens`,
        completionTokens: sql`completion_tokens + excluded.completion_tokens`,
        writtenOffPromptTokens: sql`written_off_prompt_tokens + excluded.written_off_prompt_tokens`,
        writtenOffCompletionTokens: sql`written_off_completion_tokens + excluded.written_off_completion_tokens`,
      },
    });
  if (!item.late) return [insert, rollup];
  const found = db
    .update(drift)
    .set({ resolvedAtMs: receivedAtMs })
    .where(sql`request_id = ${receipt.requestId} AND kind = 'receipt_missing' AND resolved_at_ms IS NULL`);
  return [insert, rollup, found];
}
