/** The manifest of the archive in R2, and how far archiving has come. */
import { index, integer, primaryKey, sqliteTable, text } from 'drizzle-orm/sqlite-core';
import { ARCHIVE_KINDS } from '../../domain/archive-kinds.ts';

/**
 * The manifest: one row an object in R2, written in the same transaction that deletes the object's rows from D1. Rows
 * are never changed or removed, and a row of `usage_event` or a charge of `ledger_entry` is deleted only when a row
 * here covers its key: triggers hold both.
 */
export const archivePart = sqliteTable(
  'archive_part',
  {
    accountId: text('account_id').notNull(),
    kind: text('kind', { enum: ARCHIVE_KINDS }).notNull(),
    /** Counts an account's parts of a kind, from 1. */
    seq: integer('seq').notNull(),
    /** `2026-08`: all its rows are of this month (UTC). */
    month: text('month').notNull(),
    /** The least and the greatest key in it: request ids, or entries' numbers with sixteen digits. */
    firstKey: text('first_key').notNull(),
    lastKey: text('last_key').notNull(),
    rows: integer('rows').notNull(),
    /** Sum of its charges; of ledger entries: the change of the balance. */
    sumNanoUsd: integer('sum_nano_usd').notNull(),
    /** The balance before its first ledger entry; null for requests. */
    openingBalanceNanoUsd: integer('opening_balance_nano_usd'),
    /** SHA-256 of the whole text, hex. The text begins with the hash of the part before it, so parts form a chain. */
    hash: text('hash').notNull(),
    objectKey: text('object_key').notNull(),
    /** Size in R2, compressed. */
    bytes: integer('bytes').notNull(),
    archivedAtMs: integer('archived_at_ms').notNull(),
  },
  (t) => [
    primaryKey({ columns: [t.accountId, t.kind, t.seq] }),
    index('archive_part_by_key').on(t.accountId, t.kind, t.lastKey),
  ],
);

/** One row: which run archives now, where the next one goes on, and what the last pass over all accounts came to. */
export const archiveRun = sqliteTable('archive_run', {
  id: integer('id').primaryKey(),
  /** Random, of the run that may write; null: none runs. */
  token: text('token'),
  /** A run that has not ended by then is taken to have died. */
  claimedUntilMs: integer('claimed_until_ms').notNull().default(0),
  /** No run begins earlier. */
  restUntilMs: integer('rest_until_ms').notNull().default(0),
  /** The next run goes on after this account; empty: a new pass begins. */
  afterAccountId: text('after_account_id').notNull().default(''),
  /** The object that is being written. One that a dead run has left is removed by the next. */
  writingKey: text('writing_key'),
  /** When the last pass ended, and the beginning of the first month that it kept in D1. */
  passedAtMs: integer('passed_at_ms'),
  keptFromMs: integer('kept_from_ms'),
  /** Accounts that failed in the pass that runs, and in the last one that ended. */
  failures: integer('failures').notNull().default(0),
  passedFailures: integer('passed_failures').notNull().default(0),
  /** The last failure. */
  failedAtMs: integer('failed_at_ms'),
  failedAccountId: text('failed_account_id'),
  failure: text('failure'),
});
