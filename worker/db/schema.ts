/**
 * D1: who exists (people, accounts, keys, models, prices, nodes) and the projections of what the Wallets decided
 * (usage, ledger). Money is integer nano-USD, time is integer milliseconds since 1970 UTC.
 *
 * D1 drops child rows silently when a table is rebuilt under ON DELETE CASCADE, so no foreign key here cascades.
 */
import { sql } from 'drizzle-orm';
import { index, integer, primaryKey, sqliteTable, text, uniqueIndex } from 'drizzle-orm/sqlite-core';
import type { Ending } from '../domain/hold.ts';
import type { Notice } from '../domain/notice.ts';
import { TARIFFS } from '../domain/pricing.ts';
import type { DriftKind } from '../domain/reconciliation.ts';

// ---- people (better-auth's four tables under the project's names; its columns are Dates) ----

export const person = sqliteTable('person', {
  id: text('id').primaryKey(),
  name: text('name').notNull(),
  email: text('email').notNull().unique(),
  emailVerified: integer('email_verified', { mode: 'boolean' }).notNull().default(false),
  image: text('image'),
  /** operator: sees the pool and margin console */
  role: text('role', { enum: ['customer', 'operator'] })
    .notNull()
    .default('customer'),
  createdAt: integer('created_at', { mode: 'timestamp_ms' }).notNull(),
  updatedAt: integer('updated_at', { mode: 'timestamp_ms' }).notNull(),
});

export const personSession = sqliteTable(
  'person_session',
  {
    id: text('id').primaryKey(),
    token: text('token').notNull().unique(),
    userId: text('person_id')
      .notNull()
      .references(() => person.id),
    ipAddress: text('ip_address'),
    userAgent: text('user_agent'),
    expiresAt: integer('expires_at', { mode: 'timestamp_ms' }).notNull(),
    createdAt: integer('created_at', { mode: 'timestamp_ms' }).notNull(),
    updatedAt: integer('updated_at', { mode: 'timestamp_ms' }).notNull(),
  },
  (t) => [index('person_session_by_person').on(t.userId)],
);

/** How a person proves who they are: a password hash, later an OAuth identity. */
export const personCredential = sqliteTable(
  'person_credential',
  {
    id: text('id').primaryKey(),
    accountId: text('subject').notNull(),
    providerId: text('provider').notNull(),
    userId: text('person_id')
      .notNull()
      .references(() => person.id),
    accessToken: text('access_token'),
    refreshToken: text('refresh_token'),
    idToken: text('id_token'),
    accessTokenExpiresAt: integer('access_token_expires_at', { mode: 'timestamp_ms' }),
    refreshTokenExpiresAt: integer('refresh_token_expires_at', { mode: 'timestamp_ms' }),
    scope: text('scope'),
    password: text('password'),
    createdAt: integer('created_at', { mode: 'timestamp_ms' }).notNull(),
    updatedAt: integer('updated_at', { mode: 'timestamp_ms' }).notNull(),
  },
  (t) => [index('person_credential_by_person').on(t.userId)],
);

export const personVerification = sqliteTable('person_verification', {
  id: text('id').primaryKey(),
  identifier: text('identifier').notNull(),
  value: text('value').notNull(),
  expiresAt: integer('expires_at', { mode: 'timestamp_ms' }).notNull(),
  createdAt: integer('created_at', { mode: 'timestamp_ms' }).notNull(),
  updatedAt: integer('updated_at', { mode: 'timestamp_ms' }).notNull(),
});

// ---- accounts and keys ----

/** Who pays. Its money is not here: the Wallet of the same id owns it. */
export const account = sqliteTable('account', {
  id: text('id').primaryKey(),
  name: text('name').notNull(),
  createdAtMs: integer('created_at_ms').notNull(),
  /** of all its keys together; each key may have less */
  requestsPerMinute: integer('requests_per_minute').notNull().default(6_000),
  /** null: no limit */
  tokensPerMinute: integer('tokens_per_minute'),
  concurrency: integer('concurrency').notNull().default(1_000),
  /** spend per `capPeriod` over all keys; null: no cap */
  capNanoUsd: integer('cap_nano_usd'),
  capPeriod: text('cap_period', { enum: ['day', 'month', 'total'] })
    .notNull()
    .default('month'),
});

export const MEMBER_ROLES = ['owner', 'billing', 'developer', 'viewer'] as const;

export const member = sqliteTable(
  'member',
  {
    accountId: text('account_id')
      .notNull()
      .references(() => account.id),
    personId: text('person_id')
      .notNull()
      .references(() => person.id),
    role: text('role', { enum: MEMBER_ROLES }).notNull(),
  },
  (t) => [primaryKey({ columns: [t.accountId, t.personId] }), index('member_by_person').on(t.personId)],
);

export const apiKey = sqliteTable(
  'api_key',
  {
    id: text('id').primaryKey(),
    accountId: text('account_id')
      .notNull()
      .references(() => account.id),
    name: text('name').notNull(),
    /** HMAC-SHA-256 of the key under KEY_PEPPER, base64url; the key itself is nowhere */
    hash: text('hash').notNull().unique(),
    lastFour: text('last_four').notNull(),
    /** model ids that the key may use; null: all */
    models: text('models', { mode: 'json' }).$type<string[]>(),
    /** spend per `capPeriod`; null: no cap */
    capNanoUsd: integer('cap_nano_usd'),
    capPeriod: text('cap_period', { enum: ['day', 'month', 'total'] })
      .notNull()
      .default('month'),
    requestsPerMinute: integer('requests_per_minute').notNull().default(600),
    /** null: no limit */
    tokensPerMinute: integer('tokens_per_minute'),
    concurrency: integer('concurrency').notNull().default(100),
    createdAtMs: integer('created_at_ms').notNull(),
    expiresAtMs: integer('expires_at_ms'),
    revokedAtMs: integer('revoked_at_ms'),
    lastUsedAtMs: integer('last_used_at_ms'),
  },
  (t) => [index('api_key_by_account').on(t.accountId, t.createdAtMs)],
);

// ---- catalogue ----

export const model = sqliteTable('model', {
  id: text('id').primaryKey(),
  name: text('name').notNull(),
  aliases: text('aliases', { mode: 'json' }).$type<string[]>().notNull(),
  /** `model_path` values of engines that serve these weights */
  modelPaths: text('model_paths', { mode: 'json' }).$type<string[]>().notNull(),
  /** weights revision, shown as `system_fingerprint` */
  revision: text('revision').notNull(),
  license: text('license').notNull(),
  reasoning: integer('reasoning', { mode: 'boolean' }).notNull(),
  contextTokens: integer('context_tokens').notNull(),
  outputTokensMax: integer('output_tokens_max').notNull(),
  outputTokensDefault: integer('output_tokens_default').notNull(),
});

/**
 * A dated price. A new price is a new row, and its id is the price version of a charge. Triggers keep rows as they
 * were: only `toMs` can be set. That both ends lie ahead is seen to where they are written: billing/change-prices.ts.
 */
export const price = sqliteTable(
  'price',
  {
    id: text('id').primaryKey(),
    modelId: text('model_id')
      .notNull()
      .references(() => model.id),
    tariff: text('tariff', { enum: TARIFFS }).notNull().default('standard'),
    fromMs: integer('from_ms').notNull(),
    toMs: integer('to_ms'),
    /** minutes after midnight UTC between which the row holds each day; null: all day. May wrap over midnight */
    dailyFromMinute: integer('daily_from_minute'),
    dailyToMinute: integer('daily_to_minute'),
    cacheHitNanoUsd: integer('cache_hit_nano_usd').notNull(),
    cacheMissNanoUsd: integer('cache_miss_nano_usd').notNull(),
    outputNanoUsd: integer('output_nano_usd').notNull(),
    source: text('source').notNull(),
  },
  (t) => [index('price_by_model').on(t.modelId, t.fromMs)],
);

// ---- the GPU pool ----

export const NODE_STATES = ['active', 'draining', 'removed'] as const;

/** A registered SGLang server behind its agent. Which nodes are up right now is the Pool's to know. */
export const node = sqliteTable('node', {
  id: text('id').primaryKey(),
  name: text('name').notNull(),
  modelId: text('model_id')
    .notNull()
    .references(() => model.id),
  hardware: text('hardware').notNull(),
  url: text('url').notNull(),
  /** Ed25519 public key, `x` of its JWK */
  publicKey: text('public_key').notNull(),
  /** share of traffic relative to other nodes: output tokens per second it is expected to reach */
  capacity: integer('capacity').notNull(),
  engineVersion: text('engine_version').notNull(),
  weightVersion: text('weight_version').notNull(),
  state: text('state', { enum: NODE_STATES }).notNull().default('active'),
  enrolledAtMs: integer('enrolled_at_ms').notNull(),
});

export const joinToken = sqliteTable('join_token', {
  id: text('id').primaryKey(),
  nodeName: text('node_name').notNull(),
  modelId: text('model_id')
    .notNull()
    .references(() => model.id),
  hardware: text('hardware').notNull(),
  createdAtMs: integer('created_at_ms').notNull(),
  expiresAtMs: integer('expires_at_ms').notNull(),
  usedAtMs: integer('used_at_ms'),
});

/** What an operator did, and what the pool noticed: append-only. */
export const audit = sqliteTable(
  'audit',
  {
    id: text('id').primaryKey(),
    atMs: integer('at_ms').notNull(),
    /** person id, `node:…`, `pool` or `operator-token` */
    actor: text('actor').notNull(),
    action: text('action').notNull(),
    subject: text('subject').notNull(),
    detail: text('detail', { mode: 'json' }).$type<Record<string, string | number | null>>().notNull(),
  },
  (t) => [index('audit_by_subject').on(t.subject, t.atMs), index('audit_by_time').on(t.atMs)],
);

// ---- projections of the Wallets, written from their outboxes only ----

/** One ended request: what was counted, what it cost, by which price and which ledger entry. */
export const usageEvent = sqliteTable(
  'usage_event',
  {
    requestId: text('request_id').primaryKey(),
    accountId: text('account_id').notNull(),
    keyId: text('key_id').notNull(),
    modelId: text('model_id').notNull(),
    nodeId: text('node_id'),
    admittedAtMs: integer('admitted_at_ms').notNull(),
    endedAtMs: integer('ended_at_ms').notNull(),
    /** posted, voided, expired: how the hold ended */
    state: text('state', { enum: ['posted', 'voided', 'expired'] }).notNull(),
    /** why, in one of the words of domain/hold.ts */
    ending: text('ending').$type<Ending>().notNull(),
    stream: integer('stream', { mode: 'boolean' }).notNull(),
    promptTokens: integer('prompt_tokens').notNull(),
    cachedTokens: integer('cached_tokens').notNull(),
    completionTokens: integer('completion_tokens').notNull(),
    reasoningTokens: integer('reasoning_tokens').notNull(),
    priceId: text('price_id').notNull(),
    chargeNanoUsd: integer('charge_nano_usd').notNull(),
    /** ledger entry of the charge; null when nothing was charged */
    entrySeq: integer('entry_seq'),
    ttftMs: integer('ttft_ms'),
  },
  (t) => [
    index('usage_event_by_account').on(t.accountId, t.admittedAtMs),
    index('usage_event_by_entry').on(t.accountId, t.entrySeq),
  ],
);

/** What a node said it generated for an attempt, and how much of that nobody was billed for. */
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
    /** counted by the node and billed to nobody; below zero when more was billed than the node counted (drift) */
    writtenOffPromptTokens: integer('written_off_prompt_tokens').notNull(),
    writtenOffCompletionTokens: integer('written_off_completion_tokens').notNull(),
    /** why, in one of the words of domain/reconciliation.ts; null when every token was billed */
    writeOffReason: text('write_off_reason'),
  },
  (t) => [
    primaryKey({ columns: [t.requestId, t.nodeId] }),
    index('node_receipt_by_node').on(t.nodeId, t.receivedAtMs),
  ],
);

/** Rollup of `node_receipt` by hour, node and reason: what the two witnesses are compared by. */
export const receiptHour = sqliteTable(
  'receipt_hour',
  {
    nodeId: text('node_id').notNull(),
    hourMs: integer('hour_ms').notNull(),
    /** as in `node_receipt`; empty: every token was billed */
    reason: text('reason').notNull(),
    receipts: integer('receipts').notNull(),
    promptTokens: integer('prompt_tokens').notNull(),
    completionTokens: integer('completion_tokens').notNull(),
    writtenOffPromptTokens: integer('written_off_prompt_tokens').notNull(),
    writtenOffCompletionTokens: integer('written_off_completion_tokens').notNull(),
  },
  (t) => [primaryKey({ columns: [t.nodeId, t.hourMs, t.reason] })],
);

/** Rollup of `usage_event` by hour, account, key and model: what charts read. */
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
  },
  (t) => [primaryKey({ columns: [t.accountId, t.hourMs, t.keyId, t.modelId] })],
);

/** The Wallet's ledger, entry by entry. */
export const ledgerEntry = sqliteTable(
  'ledger_entry',
  {
    accountId: text('account_id').notNull(),
    seq: integer('seq').notNull(),
    atMs: integer('at_ms').notNull(),
    kind: text('kind', { enum: ['grant', 'top_up', 'charge', 'correction'] }).notNull(),
    /** change of granted and of paid credit; the counterparty's leg is minus their sum */
    grantedNanoUsd: integer('granted_nano_usd').notNull(),
    paidNanoUsd: integer('paid_nano_usd').notNull(),
    /** ledger balance after this entry, granted and paid together */
    balanceNanoUsd: integer('balance_nano_usd').notNull(),
    /** request id, payment order id or grant id: one entry each */
    reference: text('reference').notNull(),
    hash: text('hash').notNull(),
  },
  (t) => [
    primaryKey({ columns: [t.accountId, t.seq] }),
    uniqueIndex('ledger_entry_by_reference').on(t.accountId, t.kind, t.reference),
  ],
);

/** Where the two witnesses, or the ledger and its prices, disagree: an alert for the operator, one row a finding. */
export const drift = sqliteTable(
  'drift',
  {
    requestId: text('request_id').notNull(),
    /** empty: no node is concerned */
    nodeId: text('node_id').notNull(),
    kind: text('kind').$type<DriftKind>().notNull(),
    accountId: text('account_id').notNull(),
    foundAtMs: integer('found_at_ms').notNull(),
    /** what the two sides say, in counts and nano-USD */
    detail: text('detail', { mode: 'json' }).$type<Record<string, string | number | null>>().notNull(),
    /** a receipt that came late explains a missing one; an operator closes the others */
    resolvedAtMs: integer('resolved_at_ms'),
  },
  (t) => [
    primaryKey({ columns: [t.requestId, t.nodeId, t.kind] }),
    index('drift_by_time').on(t.foundAtMs),
    index('drift_open').on(t.foundAtMs).where(sql`resolved_at_ms IS NULL`),
  ],
);

// ---- credit that is given ----

export const promoCode = sqliteTable('promo_code', {
  /** upper case, as it is compared */
  code: text('code').primaryKey(),
  amountNanoUsd: integer('amount_nano_usd').notNull(),
  /** accounts that may redeem it, each once */
  redemptionsMax: integer('redemptions_max').notNull(),
  expiresAtMs: integer('expires_at_ms'),
  createdAtMs: integer('created_at_ms').notNull(),
  createdBy: text('created_by').notNull(),
});

export const promoRedemption = sqliteTable(
  'promo_redemption',
  {
    code: text('code')
      .notNull()
      .references(() => promoCode.code),
    accountId: text('account_id')
      .notNull()
      .references(() => account.id),
    redeemedAtMs: integer('redeemed_at_ms').notNull(),
  },
  (t) => [primaryKey({ columns: [t.code, t.accountId] })],
);

// ---- notices: what an account is told, and by what way ----

/** What an account wants to be told of. Without a row: DEFAULT_WATCH of domain/watch.ts. */
export const noticeSetting = sqliteTable('notice_setting', {
  accountId: text('account_id')
    .primaryKey()
    .references(() => account.id),
  /** tell when less than this is available; null: never */
  lowBalanceNanoUsd: integer('low_balance_nano_usd'),
  /** tell when so much of a cap is used, in percent */
  capPercents: text('cap_percents', { mode: 'json' }).$type<number[]>().notNull(),
  /** to every owner and billing member */
  byEmail: integer('by_email', { mode: 'boolean' }).notNull(),
});

/** A customer's address for signed webhooks. Its secret is derived, never stored: see notices/endpoint-secret.ts. */
export const webhookEndpoint = sqliteTable(
  'webhook_endpoint',
  {
    id: text('id').primaryKey(),
    accountId: text('account_id')
      .notNull()
      .references(() => account.id),
    url: text('url').notNull(),
    /** counts up when the secret is rotated */
    secretVersion: integer('secret_version').notNull().default(1),
    createdAtMs: integer('created_at_ms').notNull(),
    removedAtMs: integer('removed_at_ms'),
  },
  (t) => [index('webhook_endpoint_by_account').on(t.accountId)],
);

export const notice = sqliteTable(
  'notice',
  {
    id: text('id').primaryKey(),
    accountId: text('account_id').notNull(),
    atMs: integer('at_ms').notNull(),
    kind: text('kind').$type<Notice['kind']>().notNull(),
    facts: text('facts', { mode: 'json' }).$type<Notice>().notNull(),
  },
  (t) => [index('notice_by_account').on(t.accountId, t.atMs)],
);

export const DELIVERY_STATES = ['waiting', 'delivered', 'failed'] as const;

/** One notice on its way to one address: the delivery log. */
export const noticeDelivery = sqliteTable(
  'notice_delivery',
  {
    id: text('id').primaryKey(),
    noticeId: text('notice_id')
      .notNull()
      .references(() => notice.id),
    accountId: text('account_id').notNull(),
    channel: text('channel', { enum: ['email', 'webhook'] }).notNull(),
    /** an e-mail address, or the id of a webhook endpoint */
    target: text('target').notNull(),
    state: text('state', { enum: DELIVERY_STATES }).notNull().default('waiting'),
    attempts: integer('attempts').notNull().default(0),
    lastAtMs: integer('last_at_ms'),
    /** HTTP status of the last attempt; null: no answer, or not HTTP */
    lastStatus: integer('last_status'),
    lastFault: text('last_fault'),
    nextAtMs: integer('next_at_ms'),
  },
  (t) => [
    uniqueIndex('notice_delivery_once').on(t.noticeId, t.channel, t.target),
    index('notice_delivery_by_account').on(t.accountId, t.id),
  ],
);

// ---- payments ----

/** How an account pays without its owner being there: a saved card, and when it may be charged. */
export const autoRecharge = sqliteTable('auto_recharge', {
  accountId: text('account_id')
    .primaryKey()
    .references(() => account.id),
  provider: text('provider').notNull(),
  /** the provider's ids of the customer and of the saved card; the card itself is the provider's */
  customerRef: text('customer_ref'),
  methodRef: text('method_ref'),
  /** as a person knows it: `Visa …4242` */
  methodLabel: text('method_label'),
  enabled: integer('enabled', { mode: 'boolean' }).notNull().default(false),
  /** recharge when less than this is available */
  belowNanoUsd: integer('below_nano_usd').notNull().default(0),
  amountNanoUsd: integer('amount_nano_usd').notNull().default(0),
  /** at most this much is recharged in a calendar month (UTC) */
  monthlyMaxNanoUsd: integer('monthly_max_nano_usd').notNull().default(0),
  /** why it was turned off without being asked; null: it was not */
  offReason: text('off_reason'),
  updatedAtMs: integer('updated_at_ms').notNull(),
});

/** closed: its checkout expired or the bank refused for good; a payment that arrives all the same still makes it paid */
export const PAYMENT_STATES = ['open', 'closed', 'paid'] as const;

/** A top-up that was begun. It is credited by the provider's signed event only. */
export const paymentOrder = sqliteTable(
  'payment_order',
  {
    id: text('id').primaryKey(),
    accountId: text('account_id')
      .notNull()
      .references(() => account.id),
    provider: text('provider').notNull(),
    /** checkout: a person pays on the provider's page; recharge: the saved card is charged */
    kind: text('kind', { enum: ['checkout', 'recharge'] })
      .notNull()
      .default('checkout'),
    amountNanoUsd: integer('amount_nano_usd').notNull(),
    currency: text('currency').notNull(),
    state: text('state', { enum: PAYMENT_STATES }).notNull().default('open'),
    createdAtMs: integer('created_at_ms').notNull(),
    paidAtMs: integer('paid_at_ms'),
    /** where the customer reads the provider's invoice; null: there is none yet */
    invoiceUrl: text('invoice_url'),
  },
  (t) => [
    index('payment_order_by_account').on(t.accountId, t.createdAtMs),
    // one recharge in flight an account: the database says so, whoever asks at the same time
    uniqueIndex('payment_order_recharge_open')
      .on(t.accountId)
      .where(sql`kind = 'recharge' AND state = 'open'`),
  ],
);

/** Events of payment providers by their own id: each is acted on once. */
export const paymentEvent = sqliteTable(
  'payment_event',
  {
    provider: text('provider').notNull(),
    eventId: text('event_id').notNull(),
    orderId: text('order_id').notNull(),
    receivedAtMs: integer('received_at_ms').notNull(),
  },
  (t) => [primaryKey({ columns: [t.provider, t.eventId] })],
);

/** What a provider has taken back from an order, by what took it: a charge's refunds, a failed refund, a dispute. */
export const paymentReversal = sqliteTable(
  'payment_reversal',
  {
    orderId: text('order_id')
      .notNull()
      .references(() => paymentOrder.id),
    /** the provider's id: of the charge whose refunds these are, of the refund that failed, of the dispute */
    source: text('source').notNull(),
    /** the most that was ever said; below zero for a refund that failed */
    amountNanoUsd: integer('amount_nano_usd').notNull(),
    /** the provider gave it back for good: a dispute that was won */
    returned: integer('returned', { mode: 'boolean' }).notNull(),
    updatedAtMs: integer('updated_at_ms').notNull(),
  },
  (t) => [primaryKey({ columns: [t.orderId, t.source] })],
);

/** Steps by which the Wallet follows an order's reversals. Each is one ledger entry of kind `correction`. */
export const paymentCorrection = sqliteTable(
  'payment_correction',
  {
    orderId: text('order_id')
      .notNull()
      .references(() => paymentOrder.id),
    /** 1, 2, 3 … within the order */
    seq: integer('seq').notNull(),
    /** below zero: to take from the account; above: to give back */
    amountNanoUsd: integer('amount_nano_usd').notNull(),
    /**
     * What the Wallet did not have: still owed; below zero in a giving back that cancelled such a debt.
     * The ledger entry is the sum of both columns. null: the Wallet has not been asked yet.
     */
    uncollectedNanoUsd: integer('uncollected_nano_usd'),
    createdAtMs: integer('created_at_ms').notNull(),
  },
  (t) => [primaryKey({ columns: [t.orderId, t.seq] })],
);
