/** Free credit: promo codes and their redemptions. */
import { integer, primaryKey, sqliteTable, text } from 'drizzle-orm/sqlite-core';
import { account } from './accounts.ts';

export const promoCode = sqliteTable('promo_code', {
  /** Upper case, the form in which codes are compared. */
  code: text('code').primaryKey(),
  amountNanoUsd: integer('amount_nano_usd').notNull(),
  /** Number of accounts that may redeem it, each once. */
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
