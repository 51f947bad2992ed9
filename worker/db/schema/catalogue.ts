/** Catalogue. */
import { index, integer, sqliteTable, text } from 'drizzle-orm/sqlite-core';
import { TARIFFS } from '../../domain/pricing.ts';

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

/** List prices of others that ours are compared with. Dated: a comparison without a date is an assertion. */
export const referencePrice = sqliteTable('reference_price', {
  id: text('id').primaryKey(),
  name: text('name').notNull(),
  fromMs: integer('from_ms').notNull(),
  /** when its maker withdrew it; null: it is sold */
  toMs: integer('to_ms'),
  cacheHitNanoUsd: integer('cache_hit_nano_usd').notNull(),
  cacheMissNanoUsd: integer('cache_miss_nano_usd').notNull(),
  outputNanoUsd: integer('output_nano_usd').notNull(),
  source: text('source').notNull(),
});
