/** Free credit: promo codes with their redemptions, and trial credit. */
import { index, integer, primaryKey, sqliteTable, text } from 'drizzle-orm/sqlite-core';
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

/**
 * Trial credit that was given to an inbox. A row outlives its account, so that closing an account and signing up anew
 * gives nothing again; it holds no address.
 */
export const trialGrant = sqliteTable(
  'trial_grant',
  {
    /** HMAC-SHA-256 of the canonical e-mail address (domain/canonical-email.ts), base64url. */
    emailHash: text('email_hash').primaryKey(),
    accountId: text('account_id').notNull(),
    amountNanoUsd: integer('amount_nano_usd').notNull(),
    /** UTC days since 1970: the day against whose total it counts. */
    day: integer('day').notNull(),
  },
  (t) => [index('trial_grant_by_day').on(t.day)],
);
