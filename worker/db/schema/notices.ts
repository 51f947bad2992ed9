/** Notices to accounts, and the log of their deliveries. */
import { sql } from 'drizzle-orm';
import { index, integer, sqliteTable, text, uniqueIndex } from 'drizzle-orm/sqlite-core';
import type { Notice } from '../../domain/notice.ts';
import { account } from './accounts.ts';

/** An account's alert settings. Without a row, DEFAULT_ALERT_THRESHOLDS of domain/alert-thresholds.ts apply. */
export const noticeSetting = sqliteTable('notice_setting', {
  accountId: text('account_id')
    .primaryKey()
    .references(() => account.id),
  /** Alert when less than this is available; null: never. */
  lowBalanceNanoUsd: integer('low_balance_nano_usd'),
  /** Alert when so much of a cap is used, in percent. */
  capPercents: text('cap_percents', { mode: 'json' }).$type<number[]>().notNull(),
  /** Whether every owner and billing member gets an e-mail. */
  byEmail: integer('by_email', { mode: 'boolean' }).notNull(),
});

/**
 * A customer's address for signed webhooks. Its secret is derived, never stored: see
 * notifications/webhook/endpoint-secret.ts.
 */
export const webhookEndpoint = sqliteTable(
  'webhook_endpoint',
  {
    id: text('id').primaryKey(),
    accountId: text('account_id')
      .notNull()
      .references(() => account.id),
    url: text('url').notNull(),
    /** Counts up when the secret is rotated. */
    secretVersion: integer('secret_version').notNull().default(1),
    createdAtMs: integer('created_at_ms').notNull(),
    removedAtMs: integer('removed_at_ms'),
    /** Id of the person who added it; null: not known. */
    createdBy: text('created_by'),
    /** Id of the person who took it over when its maker lost the right to add endpoints; null: no one had to. */
    keptBy: text('kept_by'),
  },
  (t) => [
    index('webhook_endpoint_by_account').on(t.accountId),
    index('webhook_endpoint_removed').on(t.removedAtMs).where(sql`removed_at_ms IS NOT NULL`),
  ],
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
  (t) => [index('notice_by_account').on(t.accountId, t.atMs), index('notice_by_time').on(t.atMs)],
);

export const DELIVERY_STATES = ['waiting', 'delivered', 'failed'] as const;

/** The delivery log: one notice on its way to one address. */
export const noticeDelivery = sqliteTable(
  'notice_delivery',
  {
    id: text('id').primaryKey(),
    noticeId: text('notice_id')
      .notNull()
      .references(() => notice.id),
    accountId: text('account_id').notNull(),
    channel: text('channel', { enum: ['email', 'webhook'] }).notNull(),
    /** An e-mail address, or the id of a webhook endpoint. */
    target: text('target').notNull(),
    state: text('state', { enum: DELIVERY_STATES }).notNull().default('waiting'),
    attempts: integer('attempts').notNull().default(0),
    lastAtMs: integer('last_at_ms'),
    /** HTTP status of the last attempt; null: no answer, or not HTTP. */
    lastStatus: integer('last_status'),
    lastFault: text('last_fault'),
    nextAtMs: integer('next_at_ms'),
  },
  (t) => [
    uniqueIndex('notice_delivery_once').on(t.noticeId, t.channel, t.target),
    index('notice_delivery_by_account').on(t.accountId, t.id),
  ],
);
