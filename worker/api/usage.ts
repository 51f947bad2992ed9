/** GET /v1/usage: the account's usage by minute, hour or day, by key and model, as JSON or as CSV for accountants. */
import * as z from 'zod';
import { listAllBuckets } from '../archive/buckets.ts';
import { findModel } from '../db/catalogue.ts';
import { BUCKET_MS, type BucketCursor, type BucketRow, type BucketWidth } from '../db/usage-buckets.ts';
import { formatUsd, nanoUsd } from '../domain/money.ts';
import { catalogue } from '../gateway/model-cache.ts';
import { readFields } from '../http/fields.ts';
import type { ApiContext } from '../http/response-headers.ts';
import { respondWithError } from './respond-with-error.ts';

/** The longest span by bucket. Minutes are summed from single requests; hours are stored, so hours and days may span more. */
const SPAN_MS_MAX: Record<BucketWidth, number> = {
  minute: 86_400_000,
  hour: 31 * 86_400_000,
  day: 731 * 86_400_000,
};
/** The default span by bucket: the most common question, the last hour, day or month. */
const SPAN_MS_DEFAULT: Record<BucketWidth, number> = {
  minute: 3_600_000,
  hour: 86_400_000,
  day: 30 * 86_400_000,
};
/** The most rows of a page, about 2 MB: enough for an hourly month of a dozen keys and models. */
const ROWS_MAX = 10_000;

const Time = z
  .union([z.iso.datetime({ offset: true }), z.iso.date(), z.string().regex(/^\d{9,11}$/)], {
    error: 'must be an ISO 8601 time or a Unix timestamp in seconds',
  })
  .transform((text) => (/^\d+$/.test(text) ? Number(text) * 1_000 : Date.parse(text)));

const GROUPS = ['key', 'model'] as const;

export const UsageQuery = z.object({
  bucket: z.enum(['minute', 'hour', 'day']).default('day'),
  start: Time.optional(),
  /** exclusive end of the span */
  end: Time.optional(),
  key_id: z.string().max(64).optional(),
  model: z.string().max(256).optional(),
  group_by: z
    .string()
    .default('key,model')
    .transform((text) => text.split(',').filter((name) => name !== ''))
    .pipe(z.array(z.enum(GROUPS, { error: 'must be `key`, `model` or `key,model`' }))),
  format: z.enum(['json', 'csv']).optional(),
  limit: z.coerce.number().int().min(1).max(ROWS_MAX).default(ROWS_MAX),
  /** `next` of the previous page */
  after: z.string().max(400).optional(),
});

export async function getUsage(c: ApiContext): Promise<Response> {
  const invalid = (param: string, problem: string) =>
    respondWithError(c, { reason: 'invalid_field', param, message: `\`${param}\` ${problem}.` });
  const read = readFields(UsageQuery, c.req.query(), new Headers());
  if (!read.ok) return respondWithError(c, read.error);
  const { bucket, start, end, key_id: keyId = null, model: name, group_by: groups, limit } = read.fields;

  const nowMs = Date.now();
  const widthMs = BUCKET_MS[bucket];
  const toMs = end ?? nowMs + 1;
  const fromMs = start ?? Math.floor((toMs - SPAN_MS_DEFAULT[bucket]) / widthMs) * widthMs;
  if (fromMs >= toMs) return invalid('start', 'must be before `end`');
  const days = SPAN_MS_MAX[bucket] / 86_400_000;
  if (toMs - fromMs > SPAN_MS_MAX[bucket] + widthMs)
    return invalid('start', `must be at most ${days} days before \`end\` for ${bucket} buckets`);
  const models = await catalogue(c.env, nowMs);
  const modelId = name === undefined ? null : (findModel(models, name)?.id ?? name);
  const after = read.fields.after === undefined ? null : parseCursor(read.fields.after);
  if (after === undefined) return invalid('after', 'must be the `next` value of the previous page');

  const rows = await listAllBuckets(c.env, {
    accountId: c.get('principal').accountId,
    width: bucket,
    fromMs,
    toMs,
    nowMs,
    keyId,
    modelId,
    byKey: groups.includes('key'),
    byModel: groups.includes('model'),
    after,
    limit: limit + 1,
  });
  const data = rows.slice(0, limit).map((row) => describe(row, groups));
  const next = rows.length > limit ? formatCursor(rows[limit - 1]!) : null;
  const format = read.fields.format ?? (/\btext\/csv\b/.test(c.req.header('accept') ?? '') ? 'csv' : 'json');
  if (format === 'csv') return csv(data, next);
  return c.json({
    object: 'list',
    bucket,
    start: new Date(fromMs).toISOString(),
    end: new Date(toMs).toISOString(),
    data,
    has_more: next !== null,
    next,
  });
}

const COLUMNS = [
  'start',
  'key_id',
  'model',
  'requests',
  'prompt_tokens',
  'cached_tokens',
  'completion_tokens',
  'reasoning_tokens',
  'charge',
  'charge_nano_usd',
] as const;

/** Omits key_id or model when the result is not grouped by it. */
function describe(row: BucketRow, groups: readonly (typeof GROUPS)[number][]) {
  return {
    start: new Date(row.bucketMs).toISOString(),
    ...(groups.includes('key') ? { key_id: row.keyId } : {}),
    ...(groups.includes('model') ? { model: row.modelId } : {}),
    requests: row.requests,
    prompt_tokens: row.promptTokens,
    cached_tokens: row.cachedTokens,
    completion_tokens: row.completionTokens,
    reasoning_tokens: row.reasoningTokens,
    charge: formatUsd(nanoUsd(row.chargeNanoUsd)),
    charge_nano_usd: row.chargeNanoUsd,
  };
}

async function csv(data: readonly ReturnType<typeof describe>[], next: string | null): Promise<Response> {
  const first = data[0];
  const columns = COLUMNS.filter((name) => first === undefined || name in first);
  const headers: Record<string, string> = next === null ? {} : { 'x-next': next };
  const { csvFile } = await import('../lib/csv.ts');
  return csvFile({ name: 'tollgate-usage.csv', fields: columns, data, headers });
}

/** The cursor as text, which a client sends back as `after`. */
function formatCursor({ bucketMs, keyId, modelId }: BucketCursor): string {
  return [bucketMs, keyId, modelId].join('~');
}

/** @returns undefined: the text is no cursor that this route gave out */
function parseCursor(text: string): BucketCursor | undefined {
  const [time, keyId, modelId, ...rest] = text.split('~');
  if (!/^\d{1,15}$/.test(time!) || keyId === undefined || modelId === undefined || rest.length > 0)
    return undefined;
  return { bucketMs: Number(time), keyId, modelId };
}
