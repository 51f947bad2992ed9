/** An account's usage: the hourly rollup that charts and tables read, and its latest requests one by one. */
import { and, asc, desc, eq, gte, sql } from 'drizzle-orm';
import type { SQLiteColumn } from 'drizzle-orm/sqlite-core';
import { timeOfId } from '../domain/ids.ts';
import type { Database } from './client.ts';
import { price, usageEvent, usageHour } from './schema.ts';

export interface UsageFilter {
  readonly accountId: string;
  readonly fromMs: number;
  /** Width of a bucket: an hour or a day, aligned to UTC. */
  readonly bucketMs: number;
  readonly keyId: string | null;
  readonly modelId: string | null;
}

/** Sums of one bucket, key and model. They stay below 2⁵³ as long as the account's balance did. */
export interface UsageRow {
  readonly bucketMs: number;
  readonly keyId: string;
  readonly modelId: string;
  readonly requests: number;
  readonly cachedTokens: number;
  readonly uncachedTokens: number;
  readonly reasoningTokens: number;
  readonly answerTokens: number;
  readonly chargeNanoUsd: number;
  /** The saving through the cache: what the cached tokens would have cost more if uncached. */
  readonly cacheSavingNanoUsd: number;
}

/** Lists rows, newest bucket first, then by key and model. Buckets in which nothing happened have no row. */
export function listUsage(db: Database, filter: UsageFilter): Promise<UsageRow[]> {
  // Inlined, not bound: to GROUP BY, an expression with bound parameters is not the same expression twice.
  const width = sql.raw(String(Math.trunc(filter.bucketMs)));
  const bucket = sql<number>`(${usageHour.hourMs} / ${width}) * ${width}`;
  const sum = (column: SQLiteColumn) => sql<number>`sum(${column})`;
  return db
    .select({
      bucketMs: bucket,
      keyId: usageHour.keyId,
      modelId: usageHour.modelId,
      requests: sum(usageHour.requests),
      cachedTokens: sum(usageHour.cachedTokens),
      uncachedTokens: sum(usageHour.uncachedTokens),
      reasoningTokens: sum(usageHour.reasoningTokens),
      answerTokens: sum(usageHour.answerTokens),
      chargeNanoUsd: sum(usageHour.chargeNanoUsd),
      cacheSavingNanoUsd: sum(usageHour.cacheSavingNanoUsd),
    })
    .from(usageHour)
    .where(
      and(
        eq(usageHour.accountId, filter.accountId),
        gte(usageHour.hourMs, filter.fromMs),
        filter.keyId === null ? undefined : eq(usageHour.keyId, filter.keyId),
        filter.modelId === null ? undefined : eq(usageHour.modelId, filter.modelId),
      ),
    )
    .groupBy(bucket, usageHour.keyId, usageHour.modelId)
    .orderBy(desc(bucket), asc(usageHour.keyId), asc(usageHour.modelId));
}

/** The account's charges since `fromMs` in nano-USD, to the hour. */
export async function chargedSince(db: Database, accountId: string, fromMs: number): Promise<number> {
  const row = await db
    .select({ sum: sql<number>`coalesce(sum(${usageHour.chargeNanoUsd}), 0)` })
    .from(usageHour)
    .where(and(eq(usageHour.accountId, accountId), gte(usageHour.hourMs, fromMs)))
    .get();
  return row?.sum ?? 0;
}

/** An ended request with the price that it was charged at. */
export interface RecentRequest {
  readonly event: typeof usageEvent.$inferSelect;
  /** null: the price row is missing, which does not happen because prices are never deleted. */
  readonly price: typeof price.$inferSelect | null;
}

/** Lists the latest ended requests, newest first. */
export function listRecentRequests(
  db: Database,
  filter: { accountId: string; limit: number },
): Promise<RecentRequest[]> {
  return db
    .select({ event: usageEvent, price })
    .from(usageEvent)
    .leftJoin(price, eq(price.id, usageEvent.priceId))
    .where(eq(usageEvent.accountId, filter.accountId))
    .orderBy(desc(usageEvent.requestId))
    .limit(filter.limit);
}

/**
 * When the account's first request was made; null: it has ended none. The start page ticks that step off with it.
 */
export async function firstRequestAtMs(db: Database, accountId: string): Promise<number | null> {
  // Requests are archived in the order of their ids, so the first part begins with the first of them.
  const row = await db.get<{ id: string | null }>(sql`
    select coalesce(
      (select first_key from archive_part where account_id = ${accountId} and kind = 'requests' and seq = 1),
      (select min(request_id) from usage_event where account_id = ${accountId})
    ) as id`);
  return row.id === null ? null : timeOfId(row.id);
}
