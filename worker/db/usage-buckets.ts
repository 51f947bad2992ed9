/**
 * An account's usage in buckets of time, for the API. Whole hours are read from the hourly rollup; minutes, and the parts
 * of hours at both ends of a range, from the requests themselves.
 */
import { and, type SQL, sql } from 'drizzle-orm';
import type { Database } from './client.ts';
import { requestIdsIn } from './requests.ts';

export const BUCKET_MS = { minute: 60_000, hour: 3_600_000, day: 86_400_000 } as const;
export type BucketWidth = keyof typeof BUCKET_MS;

export interface BucketQuery {
  readonly accountId: string;
  readonly width: BucketWidth;
  /** The range: requests admitted since `fromMs` and before `toMs`, to the millisecond. */
  readonly fromMs: number;
  readonly toMs: number;
  /** No request is admitted later, so the hour that it lies in is whole. */
  readonly nowMs: number;
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

/** Requests or the rollup, within a part of the range. */
export interface BucketPart {
  readonly source: 'requests' | 'rollup';
  readonly fromMs: number;
  readonly toMs: number;
}

/** Divides a range into parts that do not overlap and leave nothing out. Only an hour that is cut needs its requests. */
export function partsOfRange({ width, fromMs, toMs, nowMs }: Omit<BucketQuery, 'accountId'>): BucketPart[] {
  if (width === 'minute') return [{ source: 'requests', fromMs, toMs }];
  const hour = BUCKET_MS.hour;
  const endMs = toMs > nowMs ? Math.ceil(toMs / hour) * hour : toMs;
  const [wholeFromMs, wholeToMs] = [Math.ceil(fromMs / hour) * hour, Math.floor(endMs / hour) * hour];
  if (wholeFromMs > wholeToMs) return [{ source: 'requests', fromMs, toMs }];
  const parts: BucketPart[] = [
    { source: 'requests', fromMs, toMs: wholeFromMs },
    { source: 'rollup', fromMs: wholeFromMs, toMs: wholeToMs },
    { source: 'requests', fromMs: wholeToMs, toMs: endMs },
  ];
  return parts.filter((part) => part.fromMs < part.toMs);
}

/** A part is read as one range by account and time (requests through the time in their ids), not as a whole table. */
function rowsOf({ source, fromMs, toMs }: BucketPart, accountId: string): SQL {
  if (source === 'rollup')
    return sql`SELECT hour_ms AS at_ms, key_id, model_id, requests, cached_tokens + uncached_tokens AS prompt_tokens,
      cached_tokens, reasoning_tokens + answer_tokens AS completion_tokens, reasoning_tokens, charge_nano_usd
      FROM usage_hour WHERE account_id = ${accountId} AND hour_ms >= ${fromMs} AND hour_ms < ${toMs}`;
  const ids = requestIdsIn({ fromMs, toMs });
  return sql`SELECT admitted_at_ms AS at_ms, key_id, model_id, 1 AS requests, prompt_tokens, cached_tokens,
    completion_tokens, reasoning_tokens, charge_nano_usd FROM usage_event
    WHERE account_id = ${accountId} AND request_id >= ${ids.first} AND request_id < ${ids.end}
      AND admitted_at_ms >= ${fromMs} AND admitted_at_ms < ${toMs}`;
}

/**
 * The query for buckets of what D1 has, oldest first. Buckets in which nothing happened have no row. Requests of old
 * times are in the archive: worker/archive/buckets.ts adds them.
 */
export function bucketsQuery(db: Database, query: BucketQuery) {
  const { accountId, keyId, modelId, after, limit } = query;
  // Inlined, not bound: to GROUP BY, an expression with bound parameters is not the same expression twice.
  const width = sql.raw(String(BUCKET_MS[query.width]));
  const bucket = sql<number>`(at_ms / ${width}) * ${width}`;
  const key = query.byKey ? sql<string>`key_id` : sql<string>`''`;
  const model = query.byModel ? sql<string>`model_id` : sql<string>`''`;
  const parts = partsOfRange(query).map((part) => rowsOf(part, accountId));
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
    .from(sql`(${sql.join(parts, sql` UNION ALL `)})`)
    .where(
      and(
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
