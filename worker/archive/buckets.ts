/**
 * An account's usage in buckets of time. Minutes, and hours that a range cuts, are sums over requests, so those of old
 * times are read in the archive.
 */
import { type PartRow, partsBetween } from '../db/archive-parts.ts';
import { database } from '../db/client.ts';
import { requestIdsIn } from '../db/requests.ts';
import {
  BUCKET_MS,
  type BucketCursor,
  type BucketPart,
  type BucketQuery,
  type BucketRow,
  bucketsQuery,
  partsOfRange,
} from '../db/usage-buckets.ts';
import type { Env } from '../env.ts';
import { readRequests } from './lines.ts';

/** Parts of one answer at most: a day of an account that makes three million requests in it. */
const PARTS_MAX = 600;

/** Lists buckets, oldest first. Buckets in which nothing happened have no row. */
export async function listAllBuckets(env: Env, query: BucketQuery): Promise<BucketRow[]> {
  const db = database(env);
  const ranges = partsOfRange(query).filter(({ source }) => source === 'requests');
  if (ranges.length === 0) return bucketsQuery(db, query);
  const archived = ranges.map((range) => {
    const { first, end } = requestIdsIn(range);
    return partsBetween(db, { accountId: query.accountId, first, before: end, limit: PARTS_MAX });
  });
  const [hot, ...found] = await db.batch([bucketsQuery(db, query), ...archived]);
  if (found.every((parts) => parts.length === 0)) return hot;
  const sums = new Map(hot.map((row) => [textOf(row), { ...row }]));
  for (const [at, range] of ranges.entries())
    for (const part of found[at]!) await addPart(env, { query, range, part }, sums);
  const rows = [...sums.values()].filter((row) => query.after === null || compare(row, query.after) > 0);
  return rows.sort(compare).slice(0, query.limit);
}

type Sums = Map<string, { -readonly [K in keyof BucketRow]: BucketRow[K] }>;

/** Adds those requests of an archived part that lie in a range of the query. */
async function addPart(
  env: Env,
  { query, range, part }: { query: BucketQuery; range: BucketPart; part: PartRow },
  sums: Sums,
): Promise<void> {
  const widthMs = BUCKET_MS[query.width];
  for (const { event } of await readRequests(env, part)) {
    const { admittedAtMs, keyId, modelId } = event;
    const isWithin = admittedAtMs >= range.fromMs && admittedAtMs < range.toMs;
    const isAsked =
      (query.keyId === null || query.keyId === keyId) &&
      (query.modelId === null || query.modelId === modelId);
    if (!isWithin || !isAsked) continue;
    const cursor = {
      bucketMs: admittedAtMs - (admittedAtMs % widthMs),
      keyId: query.byKey ? keyId : '',
      modelId: query.byModel ? modelId : '',
    };
    const sum = sums.get(textOf(cursor)) ?? { ...cursor, ...NOTHING };
    sum.requests += 1;
    sum.promptTokens += event.promptTokens;
    sum.cachedTokens += event.cachedTokens;
    sum.completionTokens += event.completionTokens;
    sum.reasoningTokens += event.reasoningTokens;
    sum.chargeNanoUsd += event.chargeNanoUsd;
    sums.set(textOf(cursor), sum);
  }
}

const NOTHING = {
  requests: 0,
  promptTokens: 0,
  cachedTokens: 0,
  completionTokens: 0,
  reasoningTokens: 0,
  chargeNanoUsd: 0,
};

function textOf({ bucketMs, keyId, modelId }: BucketCursor): string {
  return JSON.stringify([bucketMs, keyId, modelId]);
}

/** The order of rows, and so of cursors: by time, key and model, texts by their code units as in SQLite. */
function compare(a: BucketCursor, b: BucketCursor): number {
  return a.bucketMs - b.bucketMs || order(a.keyId, b.keyId) || order(a.modelId, b.modelId);
}

function order(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}
