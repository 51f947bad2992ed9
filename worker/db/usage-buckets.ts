/** What an account used in spans of time, for programs: minutes from the requests themselves, the rest from the rollup. */
import { type SQL, sql } from 'drizzle-orm';
import type { Database } from './client.ts';
import { requestIdsIn } from './requests.ts';

export const BUCKET_MS = { minute: 60_000, hour: 3_600_000, day: 86_400_000 } as const;
export type BucketWidth = keyof typeof BUCKET_MS;

export interface BucketQuery {
  readonly accountId: string;
  readonly width: BucketWidth;
  /** start of the first bucket */
  readonly fromMs: number;
  /** exclusive */
  readonly toMs: number;
  /** null: all */
  readonly keyId: string | null;
  readonly modelId: string | null;
  readonly byKey: boolean;
  readonly byModel: boolean;
  /** the last row of the page before; null: the first page */
  readonly after: BucketPlace | null;
  readonly limit: number;
}

/** Rows are in this order. Empty where it is not told apart. */
export interface BucketPlace {
  readonly bucketMs: number;
  readonly keyId: string;
  readonly modelId: string;
}

/** Sums stay under 2⁵³ as long as the account's balance did. */
export interface BucketRow extends BucketPlace {
  readonly requests: number;
  readonly promptTokens: number;
  readonly cachedTokens: number;
  readonly completionTokens: number;
  readonly reasoningTokens: number;
  readonly chargeNanoUsd: number;
}

/** Both by (account, time), requests by that of their ids: the range is walked, not the table. */
const SOURCES: Record<'requests' | 'rollup', SQL> = {
  requests: sql`(SELECT account_id, request_id, admitted_at_ms AS at_ms, key_id, model_id, 1 AS requests, prompt_tokens,
    cached_tokens, completion_tokens, reasoning_tokens, charge_nano_usd FROM usage_event)`,
  rollup: sql`(SELECT account_id, hour_ms AS at_ms, key_id, model_id, requests,
    cached_tokens + uncached_tokens AS prompt_tokens, cached_tokens,
    reasoning_tokens + answer_tokens AS completion_tokens, reasoning_tokens, charge_nano_usd FROM usage_hour)`,
};

/** Oldest first. Buckets in which nothing happened have no row. */
export function listBuckets(db: Database, query: BucketQuery): Promise<BucketRow[]> {
  const { accountId, fromMs, toMs, keyId, modelId, after, limit } = query;
  // inlined, not bound: an expression that is bound twice is not the same expression to GROUP BY
  const width = sql.raw(String(BUCKET_MS[query.width]));
  const key = query.byKey ? sql`key_id` : sql`''`;
  const model = query.byModel ? sql`model_id` : sql`''`;
  const isByRequest = query.width === 'minute';
  const ids = requestIdsIn({ fromMs, toMs });
  const inIds = isByRequest ? sql`AND request_id >= ${ids.first} AND request_id < ${ids.end}` : sql``;
  const source = isByRequest ? SOURCES.requests : SOURCES.rollup;
  const ofKey = keyId === null ? sql`` : sql`AND key_id = ${keyId}`;
  const ofModel = modelId === null ? sql`` : sql`AND model_id = ${modelId}`;
  const next = after
    ? sql`HAVING (bucket_ms, key, model) > (${after.bucketMs}, ${after.keyId}, ${after.modelId})`
    : sql``;
  return db.all<BucketRow>(sql`
    SELECT (at_ms / ${width}) * ${width} AS bucket_ms, ${key} AS key, ${model} AS model,
      (at_ms / ${width}) * ${width} AS "bucketMs", ${key} AS "keyId", ${model} AS "modelId",
      sum(requests) AS "requests", sum(prompt_tokens) AS "promptTokens", sum(cached_tokens) AS "cachedTokens",
      sum(completion_tokens) AS "completionTokens", sum(reasoning_tokens) AS "reasoningTokens",
      sum(charge_nano_usd) AS "chargeNanoUsd"
    FROM ${source}
    WHERE account_id = ${accountId} AND at_ms >= ${fromMs} AND at_ms < ${toMs} ${inIds} ${ofKey} ${ofModel}
    GROUP BY bucket_ms, key, model ${next} ORDER BY bucket_ms, key, model LIMIT ${limit}`);
}
