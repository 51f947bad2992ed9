/** Files of customers and the batches that are made of them. What the files hold is in R2. */
import { index, integer, sqliteTable, text } from 'drizzle-orm/sqlite-core';
import type { Usage } from '../../domain/usage.ts';
import { account, apiKey } from './accounts.ts';

export const FILE_PURPOSES = ['batch', 'batch_output'] as const;

export const file = sqliteTable(
  'file',
  {
    id: text('id').primaryKey(),
    accountId: text('account_id')
      .notNull()
      .references(() => account.id),
    name: text('name').notNull(),
    purpose: text('purpose', { enum: FILE_PURPOSES }).notNull(),
    bytes: integer('bytes').notNull(),
    /** R2 objects that hold it, one after the other; each ends with a whole line */
    parts: integer('parts').notNull(),
    createdAtMs: integer('created_at_ms').notNull(),
    expiresAtMs: integer('expires_at_ms').notNull(),
  },
  (t) => [index('file_by_account').on(t.accountId, t.createdAtMs), index('file_by_expiry').on(t.expiresAtMs)],
);

export const BATCH_STATES = [
  'validating',
  'failed',
  'in_progress',
  'finalizing',
  'completed',
  'expired',
  'cancelling',
  'cancelled',
] as const;

/** What pages and the API read of a batch; its own Durable Object knows every line and says here how far it is. */
export const batch = sqliteTable(
  'batch',
  {
    id: text('id').primaryKey(),
    accountId: text('account_id')
      .notNull()
      .references(() => account.id),
    /** whose limits, models and cap count */
    keyId: text('key_id')
      .notNull()
      .references(() => apiKey.id),
    endpoint: text('endpoint').notNull(),
    inputFileId: text('input_file_id').notNull(),
    outputFileId: text('output_file_id'),
    errorFileId: text('error_file_id'),
    state: text('state', { enum: BATCH_STATES }).notNull(),
    /** why no line is running although some wait; null: nothing is in the way */
    pausedBy: text('paused_by'),
    /** the client's own, up to 16 pairs */
    metadata: text('metadata', { mode: 'json' }).$type<Record<string, string>>(),
    /** faults of the whole, each with its line where it has one */
    errors: text('errors', { mode: 'json' }).$type<
      { code: string; message: string; line: number | null; param: string | null }[]
    >(),
    total: integer('total').notNull().default(0),
    completed: integer('completed').notNull().default(0),
    failed: integer('failed').notNull().default(0),
    chargeNanoUsd: integer('charge_nano_usd').notNull().default(0),
    usage: text('usage', { mode: 'json' }).$type<Usage>(),
    createdAtMs: integer('created_at_ms').notNull(),
    /** the end of its window: what has not begun by then is not done */
    expiresAtMs: integer('expires_at_ms').notNull(),
    inProgressAtMs: integer('in_progress_at_ms'),
    cancellingAtMs: integer('cancelling_at_ms'),
    finalizingAtMs: integer('finalizing_at_ms'),
    endedAtMs: integer('ended_at_ms'),
  },
  (t) => [index('batch_by_account').on(t.accountId, t.createdAtMs)],
);
