/** Payments: orders, providers' events, reversals, saved cards and invoices. */
import { sql } from 'drizzle-orm';
import { index, integer, primaryKey, sqliteTable, text, uniqueIndex } from 'drizzle-orm/sqlite-core';
import { account } from './accounts.ts';

/** An account's means to pay without a person present: its saved card, and when that may be charged. */
export const autoRecharge = sqliteTable('auto_recharge', {
  accountId: text('account_id')
    .primaryKey()
    .references(() => account.id),
  provider: text('provider').notNull(),
  /** The provider's ids of the customer and of the saved card; the card itself stays with the provider. */
  customerRef: text('customer_ref'),
  methodRef: text('method_ref'),
  /** As a person recognises it: `Visa …4242`. */
  methodLabel: text('method_label'),
  enabled: integer('enabled', { mode: 'boolean' }).notNull().default(false),
  /** Recharge when less than this is available. */
  belowNanoUsd: integer('below_nano_usd').notNull().default(0),
  amountNanoUsd: integer('amount_nano_usd').notNull().default(0),
  /** At most this much is recharged in a calendar month (UTC). */
  monthlyMaxNanoUsd: integer('monthly_max_nano_usd').notNull().default(0),
  /** Why it was turned off other than by its owner; null: it was not. */
  offReason: text('off_reason'),
  updatedAtMs: integer('updated_at_ms').notNull(),
});

/** `closed`: its checkout expired or the bank refused for good. A payment that arrives anyway still makes it `paid`. */
export const PAYMENT_STATES = ['open', 'closed', 'paid'] as const;

/** A top-up that was begun. Only the provider's signed event credits it. */
export const paymentOrder = sqliteTable(
  'payment_order',
  {
    id: text('id').primaryKey(),
    accountId: text('account_id')
      .notNull()
      .references(() => account.id),
    provider: text('provider').notNull(),
    /** `checkout`: a person pays on the provider's page; `recharge`: the saved card is charged. */
    kind: text('kind', { enum: ['checkout', 'recharge'] })
      .notNull()
      .default('checkout'),
    amountNanoUsd: integer('amount_nano_usd').notNull(),
    currency: text('currency').notNull(),
    state: text('state', { enum: PAYMENT_STATES }).notNull().default('open'),
    createdAtMs: integer('created_at_ms').notNull(),
    paidAtMs: integer('paid_at_ms'),
    /** URL of the provider's invoice; null: there is none yet. */
    invoiceUrl: text('invoice_url'),
    /** The customer's own number, printed on the invoice. */
    purchaseOrder: text('purchase_order'),
    /** Tax that the provider collected on top of the amount. */
    taxNanoUsd: integer('tax_nano_usd').notNull().default(0),
    /** When the e-mail that confirms the payment was queued, which happens once; null: not yet. */
    receiptQueuedAtMs: integer('receipt_queued_at_ms'),
    /** When the bank last declined an attempt to pay a checkout, which stays open for another card; null: it did not. */
    declinedAtMs: integer('declined_at_ms'),
  },
  (t) => [
    index('payment_order_by_account').on(t.accountId, t.createdAtMs),
    index('payment_order_unpaid').on(t.createdAtMs).where(sql`state <> 'paid'`),
    // One open recharge per account, enforced by the database for concurrent callers.
    uniqueIndex('payment_order_recharge_open')
      .on(t.accountId)
      .where(sql`kind = 'recharge' AND state = 'open'`),
  ],
);

/** Events of payment providers by their own id, so that each is acted on once. */
export const paymentEvent = sqliteTable(
  'payment_event',
  {
    provider: text('provider').notNull(),
    eventId: text('event_id').notNull(),
    orderId: text('order_id').notNull(),
    receivedAtMs: integer('received_at_ms').notNull(),
  },
  (t) => [
    primaryKey({ columns: [t.provider, t.eventId] }),
    index('payment_event_by_time').on(t.receivedAtMs),
  ],
);

/**
 * Signed events about money that the code cannot turn into credit by itself, such as a dispute in another currency: an
 * operator decides, so that nothing is lost. Several events about one thing are one row.
 */
export const paymentHeld = sqliteTable(
  'payment_held',
  {
    orderId: text('order_id')
      .notNull()
      .references(() => paymentOrder.id),
    kind: text('kind', { enum: ['paid', 'reversed'] }).notNull(),
    /** The provider's id of the refund or dispute; empty for a payment. */
    source: text('source').notNull(),
    reason: text('reason').notNull(),
    /** The amount as the provider counts it, in the currency's smallest unit. */
    amountCents: integer('amount_cents').notNull(),
    currency: text('currency').notNull(),
    receivedAtMs: integer('received_at_ms').notNull(),
    /** null: it waits for an operator. */
    closedAtMs: integer('closed_at_ms'),
    closedBy: text('closed_by'),
    note: text('note'),
  },
  (t) => [
    primaryKey({ columns: [t.orderId, t.kind, t.source] }),
    index('payment_held_open').on(t.receivedAtMs).where(sql`closed_at_ms IS NULL`),
  ],
);

/** Amounts that a provider took back from an order, by source: a charge's refunds, a failed refund, a dispute. */
export const paymentReversal = sqliteTable(
  'payment_reversal',
  {
    orderId: text('order_id')
      .notNull()
      .references(() => paymentOrder.id),
    /** The provider's id of the charge whose refunds these are, of the refund that failed, or of the dispute. */
    source: text('source').notNull(),
    /** The greatest amount reported so far; below zero for a refund that failed. */
    amountNanoUsd: integer('amount_nano_usd').notNull(),
    /** The provider gave it back for good: a dispute that was won. */
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
    /** 1, 2, 3 … within the order. */
    seq: integer('seq').notNull(),
    /** Below zero: to take from the account; above: to give back. */
    amountNanoUsd: integer('amount_nano_usd').notNull(),
    /**
     * The amount that the Wallet did not have and that is still owed; below zero in a giving back that cancelled such
     * a debt. The ledger entry is the sum of both columns. null: the Wallet has not been asked yet.
     */
    uncollectedNanoUsd: integer('uncollected_nano_usd'),
    createdAtMs: integer('created_at_ms').notNull(),
  },
  (t) => [primaryKey({ columns: [t.orderId, t.seq] })],
);

/** The party that invoices are made out to. */
export interface Buyer {
  readonly legalName: string;
  /** Lines of an address, as they are printed. */
  readonly address: string;
  /** ISO 3166-1 alpha-2. */
  readonly country: string;
  /** VAT, GST or EIN, as it is printed; null: none. */
  readonly taxId: string | null;
}

/** The party that an account's next invoices are made out to. */
export const billingDetails = sqliteTable('billing_details', {
  accountId: text('account_id')
    .primaryKey()
    .references(() => account.id),
  legalName: text('legal_name').notNull(),
  address: text('address').notNull(),
  country: text('country').notNull(),
  taxId: text('tax_id'),
  updatedAtMs: integer('updated_at_ms').notNull(),
});

/** The invoice of a paid order as it was issued: what is printed on it never changes. Numbers have no gap. */
export const invoice = sqliteTable(
  'invoice',
  {
    number: integer('number').primaryKey(),
    orderId: text('order_id')
      .notNull()
      .unique()
      .references(() => paymentOrder.id),
    accountId: text('account_id')
      .notNull()
      .references(() => account.id),
    issuedAtMs: integer('issued_at_ms').notNull(),
    amountNanoUsd: integer('amount_nano_usd').notNull(),
    /** null: the account had no billing details when it was issued. */
    buyer: text('buyer', { mode: 'json' }).$type<Buyer>(),
    purchaseOrder: text('purchase_order'),
    /** Tax on top of the amount. */
    taxNanoUsd: integer('tax_nano_usd').notNull().default(0),
  },
  (t) => [
    index('invoice_by_account').on(t.accountId, t.issuedAtMs),
    index('invoice_with_buyer').on(t.issuedAtMs).where(sql`buyer IS NOT NULL`),
  ],
);
