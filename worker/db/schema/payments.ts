/** Payments. */
import { sql } from 'drizzle-orm';
import { index, integer, primaryKey, sqliteTable, text, uniqueIndex } from 'drizzle-orm/sqlite-core';
import { account } from './accounts.ts';

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
    /** the customer's own number, to be printed on the invoice */
    purchaseOrder: text('purchase_order'),
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

/** Who invoices are made out to. */
export interface Buyer {
  readonly legalName: string;
  /** lines of an address, as they are printed */
  readonly address: string;
  /** ISO 3166-1 alpha-2 */
  readonly country: string;
  /** VAT, GST or EIN, as it is printed; null: none */
  readonly taxId: string | null;
}

/** Who the next invoices of an account are made out to. */
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

/** The invoice of an order that was paid, as it was issued: what is printed on it never changes. Numbers have no gap. */
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
    /** null: the account had not said who it is made out to */
    buyer: text('buyer', { mode: 'json' }).$type<Buyer>(),
    purchaseOrder: text('purchase_order'),
  },
  (t) => [index('invoice_by_account').on(t.accountId, t.issuedAtMs)],
);
