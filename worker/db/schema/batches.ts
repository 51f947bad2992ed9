/** Customers' files and the batches made from them. The content of the files is in R2. */
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
    /** Number of R2 objects that hold it in sequence; each ends with a whole line. */
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

/**
 * The state of a batch as the portal and the API read it. The batch's Durable Object knows every line and writes its
 * progress here.
 */
export const batch = sqliteTable(
  'batch',
  {
    id: text('id').primaryKey(),
    accountId: text('account_id')
      .notNull()
      .references(() => account.id),
    /** The key whose limits, models and cap apply. */
    keyId: text('key_id')
      .notNull()
      .references(() => apiKey.id),
    endpoint: text('endpoint').notNull(),
    inputFileId: text('input_file_id').notNull(),
    outputFileId: text('output_file_id'),
    errorFileId: text('error_file_id'),
    state: text('state', { enum: BATCH_STATES }).notNull(),
    /** Why no line is running although some wait; null: nothing blocks it. */
    pausedBy: text('paused_by'),
    /** The client's own key-value pairs, up to 16. */
    metadata: text('metadata', { mode: 'json' }).$type<Record<string, string>>(),
    /** Faults of the batch as a whole, each with its line where it has one. */
    errors: text('errors', { mode: 'json' }).$type<
      { code: string; message: string; line: number | null; param: string | null }[]
    >(),
    total: integer('total').notNull().default(0),
    completed: integer('completed').notNull().default(0),
    failed: integer('failed').notNull().default(0),
    chargeNanoUsd: integer('charge_nano_usd').notNull().default(0),
    usage: text('usage', { mode: 'json' }).$type<Usage>(),
    createdAtMs: integer('created_at_ms').notNull(),
    /** The end of its window: lines that have not started by then are not run. */
    expiresAtMs: integer('expires_at_ms').notNull(),
    inProgressAtMs: integer('in_progress_at_ms'),
    cancellingAtMs: integer('cancelling_at_ms'),
    finalizingAtMs: integer('finalizing_at_ms'),
    endedAtMs: integer('ended_at_ms'),
  },
  (t) => [index('batch_by_account').on(t.accountId, t.createdAtMs)],
);
