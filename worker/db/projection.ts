/**
 * What Wallets tell D1: usage rows with their hourly rollup, ledger entries, node receipts. Each item lands at most
 * once however often it is told: the row's own id decides, and the rollup counts only when the row was new.
 */
import { sql } from 'drizzle-orm';
import type { BatchItem } from 'drizzle-orm/batch';
import type { Entry } from '../domain/ledger.ts';
import type { WriteOff } from '../domain/reconciliation.ts';
import type { RequestRecord, WalletReceipt } from '../domain/wallet.ts';
import type { Database } from './client.ts';
import { apiKey, ledgerEntry, nodeReceipt, usageEvent, usageHour } from './schema.ts';

export type OutboxItem =
  | { kind: 'usage'; accountId: string; request: RequestRecord }
  | { kind: 'entry'; accountId: string; entry: Entry }
  | { kind: 'receipt'; accountId: string; receivedAtMs: number; receipt: WalletReceipt; writeOff: WriteOff };

type Statement = BatchItem<'sqlite'>;

/** Writes the items in one transaction. Throws when D1 did; telling it again is safe. */
export async function project(db: Database, items: readonly OutboxItem[]): Promise<void> {
  const statements = items.flatMap((item): Statement[] => {
    if (item.kind === 'usage') return usageStatements(db, item.accountId, item.request);
    if (item.kind === 'entry') return [entryStatement(db, item.accountId, item.entry)];
    return [receiptStatement(db, item)];
  });
  const [first, ...rest] = statements;
  if (first) await db.batch([first, ...rest]);
}

function usageStatements(db: Database, accountId: string, request: RequestRecord): Statement[] {
  const { usage } = request;
  const hourMs = request.admittedAtMs - (request.admittedAtMs % 3_600_000);
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

function receiptStatement(db: Database, item: Extract<OutboxItem, { kind: 'receipt' }>): Statement {
  const { receipt, writeOff } = item;
  return db
    .insert(nodeReceipt)
    .values({
      requestId: receipt.requestId,
      nodeId: receipt.nodeId,
      accountId: item.accountId,
      receivedAtMs: item.receivedAtMs,
      outcome: receipt.outcome,
      ...receipt.usage,
      writtenOffPromptTokens: writeOff.promptTokens,
      writtenOffCompletionTokens: writeOff.completionTokens,
      writeOffReason: writeOff.reason,
    })
    .onConflictDoNothing();
}
