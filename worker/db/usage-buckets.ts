/**
 * An account's usage in buckets of time, for the API: minutes from the requests themselves, hours and days from the
 * hourly rollup.
 */
import { and, type SQL, sql } from 'drizzle-orm';
import type { Database } from './client.ts';
import { requestIdsIn } from './requests.ts';

export const BUCKET_MS = { minute: 60_000, hour: 3_600_000, day: 86_400_000 } as const;
export type BucketWidth = keyof typeof BUCKET_MS;

export interface BucketQuery {
  readonly accountId: string;
  readonly width: BucketWidth;
  /** Start of the first bucket. */
  readonly fromMs: number;
  /** Exclusive. */
  readonly toMs: number;
  /** null: all. */
  readonly keyId: string | null;
  readonly modelId: string | null;
  readonly byKey: boolean;
  readonly byModel: boolean;
  /** The last row of the previous page; null: this is the first page. */
  readonly after: BucketCursor | null;
  readonly limit: number;
}

/** The sort key of rows. `keyId` or `modelId` is empty when rows are not grouped by it. */
export interface BucketCursor {
  readonly bucketMs: number;
  readonly keyId: string;
  readonly modelId: string;
}

/** Sums stay below 2⁵³ as long as the account's balance did. */
export interface BucketRow extends BucketCursor {
  readonly requests: number;
  readonly promptTokens: number;
  readonly cachedTokens: number;
  readonly completionTokens: number;
  readonly reasoningTokens: number;
  readonly chargeNanoUsd: number;
}

/**
 * Both sources are read as one range by account and time (requests through the time in their ids), not as a whole
 * table.
 */
const SOURCES: Record<'requests' | 'rollup', SQL> = {
  requests: sql`(SELECT account_id, request_id, admitted_at_ms AS at_ms, key_id, model_id, 1 AS requests, prompt_tokens,
    cached_tokens, completion_tokens, reasoning_tokens, charge_nano_usd FROM usage_event)`,
  rollup: sql`(SELECT account_id, hour_ms AS at_ms, key_id, model_id, requests,
    cached_tokens + uncached_tokens AS prompt_tokens, cached_tokens,
    reasoning_tokens + answer_tokens AS completion_tokens, reasoning_tokens, charge_nano_usd FROM usage_hour)`,
};

/**
 * The query for buckets of what D1 has, oldest first. Buckets in which nothing happened have no row. Minutes of old times
 * are in the archive: worker/archive/minutes.ts adds them.
 */
export function bucketsQuery(db: Database, query: BucketQuery) {
  const { accountId, fromMs, toMs, keyId, modelId, after, limit } = query;
  // Inlined, not bound: to GROUP BY, an expression with bound parameters is not the same expression twice.
  const width = sql.raw(String(BUCKET_MS[query.width]));
  const bucket = sql<number>`(at_ms / ${width}) * ${width}`;
  const key = query.byKey ? sql<string>`key_id` : sql<string>`''`;
  const model = query.byModel ? sql<string>`model_id` : sql<string>`''`;
  const isByRequest = query.width === 'minute';
  const ids = requestIdsIn({ fromMs, toMs });
  const sum = (column: string) => sql<number>`sum(${sql.raw(column)})`;
  return db
    .select({
      // Each has a name of its own, because rows of a batch are read by the columns' names.
      bucketMs: bucket.as('bucket'),
      keyId: key.as('of_key'),
      modelId: model.as('of_model'),
      requests: sum('requests'),
      promptTokens: sum('prompt_tokens'),
      cachedTokens: sum('cached_tokens'),
      completionTokens: sum('completion_tokens'),
      reasoningTokens: sum('reasoning_tokens'),
      chargeNanoUsd: sum('charge_nano_usd'),
    })
    .from(isByRequest ? SOURCES.requests : SOURCES.rollup)
    .where(
      and(
        sql`account_id = ${accountId} and at_ms >= ${fromMs} and at_ms < ${toMs}`,
        isByRequest ? sql`request_id >= ${ids.first} and request_id < ${ids.end}` : undefined,
        keyId === null ? undefined : sql`key_id = ${keyId}`,
        modelId === null ? undefined : sql`model_id = ${modelId}`,
      ),
    )
    .groupBy(FIRST_THREE)
    .having(
      after
        ? sql`(${bucket}, ${key}, ${model}) > (${after.bucketMs}, ${after.keyId}, ${after.modelId})`
        : undefined,
    )
    .orderBy(FIRST_THREE)
    .limit(limit);
}

/** The columns of a result by their places. */
const FIRST_THREE = sql`1, 2, 3`;
