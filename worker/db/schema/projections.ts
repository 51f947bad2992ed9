/** Projections of the Wallets, written only from their outboxes. */
import { sql } from 'drizzle-orm';
import { index, integer, primaryKey, sqliteTable, text, uniqueIndex } from 'drizzle-orm/sqlite-core';
import type { Ending } from '../../domain/hold.ts';
import type { DriftKind } from '../../domain/reconciliation.ts';

/**
 * How far an account's outbox has been published to D1, and how many of its requests were billed and matched by a
 * receipt. An outbox item with a higher number is new; any other has been counted already.
 */
export const projection = sqliteTable('projection', {
  accountId: text('account_id').primaryKey(),
  /** The highest outbox number published so far. The column predates the name. */
  publishedSeq: integer('told_seq').notNull(),
  billedRequests: integer('billed_requests').notNull(),
  /** Billed requests whose node has sent its receipt. The column predates the name. */
  receiptMatchedRequests: integer('witnessed_requests').notNull(),
  /** Billed requests whose missing receipt is a finding. */
  missedRequests: integer('missed_requests').notNull(),
  /** Sums of the newest hours that are not in their tables yet; JSON, see db/open-sums.ts. null: there are none. */
  openSums: text('open_sums'),
  /** The beginning of the oldest of them. */
  openSinceMs: integer('open_since_ms'),
  /** How often open sums were added to their tables without a publication. */
  closed: integer('closed').notNull().default(0),
});

/**
 * One ended request: its tokens, its charge, the price and the ledger entry. Its migration makes it WITHOUT ROWID,
 * which drizzle cannot express. It has no index, so every request is one row written; its id begins with its time, so
 * an account's requests are read by time from the primary key.
 */
export const usageEvent = sqliteTable(
  'usage_event',
  {
    accountId: text('account_id').notNull(),
    requestId: text('request_id').notNull(),
    keyId: text('key_id').notNull(),
    modelId: text('model_id').notNull(),
    nodeId: text('node_id'),
    admittedAtMs: integer('admitted_at_ms').notNull(),
    endedAtMs: integer('ended_at_ms').notNull(),
    /** How the hold ended. */
    state: text('state', { enum: ['posted', 'voided', 'expired'] }).notNull(),
    /** Why it ended, one of `Ending` in domain/hold.ts. */
    ending: text('ending').$type<Ending>().notNull(),
    stream: integer('stream', { mode: 'boolean' }).notNull(),
    promptTokens: integer('prompt_tokens').notNull(),
    cachedTokens: integer('cached_tokens').notNull(),
    completionTokens: integer('completion_tokens').notNull(),
    reasoningTokens: integer('reasoning_tokens').notNull(),
    priceId: text('price_id').notNull(),
    chargeNanoUsd: integer('charge_nano_usd').notNull(),
    /** The part of the charge that granted credit paid. */
    grantedNanoUsd: integer('granted_nano_usd').notNull().default(0),
    /** Ledger entry of the charge, which other requests may share; null when nothing was charged. */
    entrySeq: integer('entry_seq'),
    ttftMs: integer('ttft_ms'),
  },
  (t) => [primaryKey({ columns: [t.accountId, t.requestId] })],
);

/**
 * A node's receipt for an attempt, and how much of it nobody was billed for. A receipt that matches what was billed
 * has no row: it is counted in `receipt_hour`. WITHOUT ROWID and without an index, like `usage_event`.
 */
export const nodeReceipt = sqliteTable(
  'node_receipt',
  {
    requestId: text('request_id').notNull(),
    nodeId: text('node_id').notNull(),
    accountId: text('account_id').notNull(),
    receivedAtMs: integer('received_at_ms').notNull(),
    outcome: text('outcome').notNull(),
    promptTokens: integer('prompt_tokens').notNull(),
    cachedTokens: integer('cached_tokens').notNull(),
    completionTokens: integer('completion_tokens').notNull(),
    reasoningTokens: integer('reasoning_tokens').notNull(),
    /** Counted by the node and billed to nobody; below zero when more was billed than the node counted (drift). */
    writtenOffPromptTokens: integer('written_off_prompt_tokens').notNull(),
    writtenOffCompletionTokens: integer('written_off_completion_tokens').notNull(),
    /** Why, one of `WriteOffReason` in domain/reconciliation.ts; null when every token was billed. */
    writeOffReason: text('write_off_reason'),
  },
  (t) => [primaryKey({ columns: [t.requestId, t.nodeId] })],
);

/**
 * Receipts by hour, node and write-off reason, for comparison with what was billed. The newest sums of each account are in
 * `projection.open_sums`.
 */
export const receiptHour = sqliteTable(
  'receipt_hour',
  {
    nodeId: text('node_id').notNull(),
    hourMs: integer('hour_ms').notNull(),
    /** As in `node_receipt`; empty: every token was billed. */
    reason: text('reason').notNull(),
    receipts: integer('receipts').notNull(),
    promptTokens: integer('prompt_tokens').notNull(),
    completionTokens: integer('completion_tokens').notNull(),
    writtenOffPromptTokens: integer('written_off_prompt_tokens').notNull(),
    writtenOffCompletionTokens: integer('written_off_completion_tokens').notNull(),
    newestReceivedAtMs: integer('newest_received_at_ms').notNull().default(0),
    /** When the newest request among them had ended; 0: none is known. */
    newestEndedAtMs: integer('newest_ended_at_ms').notNull().default(0),
  },
  (t) => [primaryKey({ columns: [t.nodeId, t.hourMs, t.reason] })],
);

/** Rollup of `usage_event` by hour, account, key and model, which charts read. */
export const usageHour = sqliteTable(
  'usage_hour',
  {
    accountId: text('account_id').notNull(),
    hourMs: integer('hour_ms').notNull(),
    keyId: text('key_id').notNull(),
    modelId: text('model_id').notNull(),
    requests: integer('requests').notNull(),
    cachedTokens: integer('cached_tokens').notNull(),
    uncachedTokens: integer('uncached_tokens').notNull(),
    reasoningTokens: integer('reasoning_tokens').notNull(),
    answerTokens: integer('answer_tokens').notNull(),
    chargeNanoUsd: integer('charge_nano_usd').notNull(),
    /** The saving through the cache: tokens × (miss − hit), at each request's own price. */
    cacheSavingNanoUsd: integer('cache_saving_nano_usd').notNull().default(0),
  },
  (t) => [primaryKey({ columns: [t.accountId, t.hourMs, t.keyId, t.modelId] })],
);

/**
 * Rollup of `usage_event` by hour and node, from which margins are computed. The newest sums of each account are in
 * `projection.open_sums`.
 */
export const nodeHour = sqliteTable(
  'node_hour',
  {
    nodeId: text('node_id').notNull(),
    hourMs: integer('hour_ms').notNull(),
    requests: integer('requests').notNull(),
    promptTokens: integer('prompt_tokens').notNull(),
    cachedTokens: integer('cached_tokens').notNull(),
    completionTokens: integer('completion_tokens').notNull(),
    chargeNanoUsd: integer('charge_nano_usd').notNull(),
    grantedNanoUsd: integer('granted_nano_usd').notNull(),
  },
  (t) => [primaryKey({ columns: [t.nodeId, t.hourMs] }), index('node_hour_by_hour').on(t.hourMs)],
);

/** The Wallet's ledger, one row per entry. */
export const ledgerEntry = sqliteTable(
  'ledger_entry',
  {
    accountId: text('account_id').notNull(),
    seq: integer('seq').notNull(),
    atMs: integer('at_ms').notNull(),
    kind: text('kind', { enum: ['grant', 'top_up', 'charge', 'correction', 'opening'] }).notNull(),
    /** Change of granted and of paid credit; the counterparty's leg is minus their sum. */
    grantedNanoUsd: integer('granted_nano_usd').notNull(),
    paidNanoUsd: integer('paid_nano_usd').notNull(),
    /** Ledger balance after this entry, granted and paid together. */
    balanceNanoUsd: integer('balance_nano_usd').notNull(),
    /** Id of a payment order, grant or reversal, or the requests of a charge (domain/ledger.ts). Each has one entry. */
    reference: text('reference').notNull(),
    hash: text('hash').notNull(),
  },
  (t) => [
    primaryKey({ columns: [t.accountId, t.seq] }),
    // Without charges: they are by far the most, their references have up to sixty characters, and nothing looks for
    // them by it.
    uniqueIndex('ledger_entry_by_reference')
      .on(t.accountId, t.kind, t.reference)
      .where(sql`kind <> 'charge'`),
  ],
);

/**
 * Disagreements between billing and receipts, or between the ledger and its prices: an alert for the operator, one
 * row per finding.
 */
export const drift = sqliteTable(
  'drift',
  {
    requestId: text('request_id').notNull(),
    /** Empty: no node is concerned. */
    nodeId: text('node_id').notNull(),
    kind: text('kind').$type<DriftKind>().notNull(),
    accountId: text('account_id').notNull(),
    foundAtMs: integer('found_at_ms').notNull(),
    /** Both sides' values, in counts and nano-USD. */
    detail: text('detail', { mode: 'json' }).$type<Record<string, string | number | null>>().notNull(),
    /** When it was resolved: a late receipt resolves a missing one; an operator closes the others. */
    resolvedAtMs: integer('resolved_at_ms'),
  },
  (t) => [
    primaryKey({ columns: [t.requestId, t.nodeId, t.kind] }),
    index('drift_by_time').on(t.foundAtMs),
    index('drift_open').on(t.foundAtMs).where(sql`resolved_at_ms IS NULL`),
  ],
);
