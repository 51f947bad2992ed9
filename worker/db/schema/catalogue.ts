/** The catalogue: models, their dated prices, and other providers' prices. */
import { sql } from 'drizzle-orm';
import { index, integer, primaryKey, sqliteTable, text } from 'drizzle-orm/sqlite-core';
import type { ModelProfile } from '../../../gpu-pool/protocol/model-profile.ts';
import { MODEL_END_STAGES } from '../../domain/model-end.ts';
import { TARIFFS } from '../../domain/pricing.ts';

export const model = sqliteTable('model', {
  id: text('id').primaryKey(),
  name: text('name').notNull(),
  aliases: text('aliases', { mode: 'json' }).$type<string[]>().notNull(),
  /** Aliases that it had once it was used: no other model may get them, or clients would get it without having asked. */
  formerAliases: text('former_aliases', { mode: 'json' }).$type<string[]>().notNull().default(sql`'[]'`),
  /** `model_path` values of engines that serve these weights. */
  modelPaths: text('model_paths', { mode: 'json' }).$type<string[]>().notNull(),
  /** Revision of the weights, shown as `system_fingerprint`. */
  revision: text('revision').notNull(),
  license: text('license').notNull(),
  reasoning: integer('reasoning', { mode: 'boolean' }).notNull(),
  contextTokens: integer('context_tokens').notNull(),
  outputTokensMax: integer('output_tokens_max').notNull(),
  outputTokensDefault: integer('output_tokens_default').notNull(),
  profile: text('profile', { mode: 'json' }).$type<ModelProfile>().notNull().default(sql`'{}'`),
  /** When its sale ends; null: no end is set. */
  endsAtMs: integer('ends_at_ms'),
  /** When the end was announced; null: it is not. */
  endAnnouncedAtMs: integer('end_announced_at_ms'),
  /** Id of the model that is recommended in its place. */
  successorId: text('successor_id'),
});

/**
 * How far the accounts that use a model have been told of its end, for each stage of the notice. A row is made when the
 * stage begins.
 */
export const modelEndRun = sqliteTable(
  'model_end_run',
  {
    modelId: text('model_id')
      .notNull()
      .references(() => model.id),
    /** The end that is announced: another end has runs of its own. */
    endsAtMs: integer('ends_at_ms').notNull(),
    stage: text('stage', { enum: MODEL_END_STAGES }).notNull(),
    /** Id of the last account that was told; accounts are told in the order of their ids. */
    afterAccountId: text('after_account_id').notNull(),
    done: integer('done', { mode: 'boolean' }).notNull(),
    /** When the stage began: an end that is announced again after its withdrawal is told of again. */
    beganAtMs: integer('began_at_ms').notNull().default(0),
  },
  (t) => [primaryKey({ columns: [t.modelId, t.endsAtMs, t.stage] })],
);

/**
 * A dated price. A new price is a new row, and its id is the price version of a charge. Triggers forbid any change
 * but of `toMs`. That both ends lie in the future is checked where they are written: billing/change-prices.ts.
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
    /**
     * Minutes after midnight UTC between which the row applies each day; null: all day. The window may wrap over
     * midnight.
     */
    dailyFromMinute: integer('daily_from_minute'),
    dailyToMinute: integer('daily_to_minute'),
    cacheHitNanoUsd: integer('cache_hit_nano_usd').notNull(),
    cacheMissNanoUsd: integer('cache_miss_nano_usd').notNull(),
    outputNanoUsd: integer('output_nano_usd').notNull(),
    source: text('source').notNull(),
  },
  (t) => [index('price_by_model').on(t.modelId, t.fromMs)],
);

/**
 * Other providers' list prices, for comparison with ours. Each is dated: a comparison without a date is an assertion.
 */
export const referencePrice = sqliteTable('reference_price', {
  id: text('id').primaryKey(),
  name: text('name').notNull(),
  fromMs: integer('from_ms').notNull(),
  /** When the provider withdrew it; null: it is still sold. */
  toMs: integer('to_ms'),
  cacheHitNanoUsd: integer('cache_hit_nano_usd').notNull(),
  cacheMissNanoUsd: integer('cache_miss_nano_usd').notNull(),
  outputNanoUsd: integer('output_nano_usd').notNull(),
  source: text('source').notNull(),
});
