/**
 * D1: who exists (people, accounts, keys, models, prices, nodes) and the projections of what the Wallets decided
 * (usage, ledger). Money is integer nano-USD, time is integer milliseconds since 1970 UTC.
 *
 * D1 drops child rows silently when a table is rebuilt under ON DELETE CASCADE, so no foreign key here cascades.
 */

export * from './schema/accounts.ts';
export * from './schema/archive.ts';
export * from './schema/batches.ts';
export * from './schema/catalogue.ts';
export * from './schema/credit.ts';
export * from './schema/notices.ts';
export * from './schema/payments.ts';
export * from './schema/people.ts';
export * from './schema/pool.ts';
export * from './schema/projections.ts';
export * from './schema/secrets.ts';
