/** /v1/batches in OpenAI's form: thousands of requests in one file, answered within a day at the batch tariff. */
import * as z from 'zod';
import { toPublicCost } from '../../gpu-pool/answers/public-usage.ts';
import { BATCH_ENDPOINTS } from '../batches/endpoints.ts';
import { addBatch, type BatchRow, type BatchState, findBatch, listBatches } from '../db/batches.ts';
import { database } from '../db/client.ts';
import { findFile } from '../db/files.ts';
import { BATCH_WINDOW_MS } from '../domain/half-price.ts';
import { isId, newId } from '../domain/ids.ts';
import { MAXIMA } from '../domain/maxima.ts';
import { nanoUsd } from '../domain/money.ts';
import { isVisible } from '../domain/name.ts';
import { NO_USAGE } from '../domain/usage.ts';
import type { Env } from '../env.ts';
import { HIDDEN_CHARACTERS, Metadata, readFields } from '../http/fields.ts';
import { readJsonObject } from '../http/read-body.ts';
import type { ApiContext } from '../http/response-headers.ts';
import { PageQuery, pageOf } from './page-query.ts';
import { respondWithError } from './respond-with-error.ts';

const UNFINISHED_MAX = MAXIMA.unfinished_batches.count;
/** A batch still `validating` after this long was lost between writing its row and starting its object. */
const RESTART_AFTER_MS = 10_000;

/** A batch is named by its metadata, so they obey the rule for names. A value may have several lines. */
const BatchMetadata = Metadata.refine(
  (pairs) =>
    Object.entries(pairs).every(
      ([name, value]) => isVisible(name) && isVisible(value.replace(/[\t\r\n]/g, '')),
    ),
  { error: HIDDEN_CHARACTERS },
);

export const BatchBody = z.object({
  input_file_id: z.string(),
  endpoint: z.enum(BATCH_ENDPOINTS),
  completion_window: z.literal('24h'),
  metadata: BatchMetadata.nullish(),
});

export async function createBatch(c: ApiContext): Promise<Response> {
  const read = await readJsonObject(c.req.raw);
  if (!read.ok) return respondWithError(c, read.error);
  const parsed = readFields(BatchBody, read.body, new Headers());
  if (!parsed.ok) return respondWithError(c, parsed.error);
  const { input_file_id: id, endpoint, metadata = null } = parsed.fields;
  const { accountId, keyId } = c.get('principal');
  const nowMs = Date.now();
  const db = database(c.env);
  const input = isId('file', id) ? await findFile(db, { id, accountId, nowMs }) : null;
  if (input?.purpose !== 'batch') {
    const message =
      '`input_file_id`: no file with this id and the purpose "batch" in this account. Upload one with POST /v1/files.';
    return respondWithError(c, { reason: 'invalid_field', param: 'input_file_id', message });
  }
  const row = await addBatch(db, {
    id: newId('batch', nowMs),
    accountId,
    keyId,
    endpoint,
    inputFileId: id,
    metadata,
    state: 'validating',
    createdAtMs: nowMs,
    expiresAtMs: nowMs + BATCH_WINDOW_MS,
  });
  if (row === null) return respondWithError(c, { reason: 'too_many_batches', limit: UNFINISHED_MAX });
  await start(c.env, row, input.parts);
  return c.json(describe(row));
}

export async function getBatches(c: ApiContext): Promise<Response> {
  const query = readFields(PageQuery, c.req.query(), new Headers());
  if (!query.ok) return respondWithError(c, query.error);
  const { limit, after = null } = query.fields;
  const { accountId } = c.get('principal');
  const rows = await listBatches(database(c.env), { accountId, afterId: after, limit: limit + 1 });
  return c.json(pageOf(rows.map(describe), limit));
}

export async function getBatch(c: ApiContext): Promise<Response> {
  return withBatch(c, async (row) => {
    const nowMs = Date.now();
    if (row.state === 'validating' && nowMs - row.createdAtMs > RESTART_AFTER_MS) {
      const { accountId, inputFileId } = row;
      const input = await findFile(database(c.env), { id: inputFileId, accountId, nowMs });
      if (input) await start(c.env, row, input.parts);
    }
    return c.json(describe(row));
  });
}

export async function cancelBatch(c: ApiContext): Promise<Response> {
  return withBatch(c, async ({ id, accountId }) => {
    await c.env.BATCH.getByName(id).cancel();
    return c.json(describe((await findBatch(database(c.env), { id, accountId }))!));
  });
}

/** Responds with the account's batch that the path names, or with 404. */
async function withBatch(c: ApiContext, respond: (row: BatchRow) => Promise<Response>): Promise<Response> {
  const id = c.req.param('id') ?? '';
  const { accountId } = c.get('principal');
  const row = isId('batch', id) ? await findBatch(database(c.env), { id, accountId }) : null;
  return row ? respond(row) : respondWithError(c, { reason: 'batch_not_found' });
}

/** Starts the Batch object. Safe to repeat: the object starts once. */
async function start(env: Env, row: BatchRow, parts: number): Promise<void> {
  const { id: batchId, accountId, keyId, endpoint, inputFileId, expiresAtMs, createdAtMs } = row;
  await env.BATCH.getByName(batchId).begin({
    batchId,
    accountId,
    keyId,
    endpoint,
    input: { fileId: inputFileId, parts },
    outputFileId: newId('file', createdAtMs),
    errorFileId: newId('file', createdAtMs),
    expiresAtMs,
  });
}

/** OpenAI's field for the time at which a batch reached each final state. */
const ENDED_AT: Partial<Record<BatchState, string>> = {
  completed: 'completed_at',
  failed: 'failed_at',
  expired: 'expired_at',
  cancelled: 'cancelled_at',
};

function describe(row: BatchRow) {
  const seconds = (atMs: number | null) => (atMs === null ? null : Math.floor(atMs / 1_000));
  const usage = row.usage ?? NO_USAGE;
  const endedAt = ENDED_AT[row.state];
  return {
    id: row.id,
    object: 'batch' as const,
    endpoint: row.endpoint,
    errors: row.errors && { object: 'list', data: row.errors },
    input_file_id: row.inputFileId,
    completion_window: '24h',
    status: row.state,
    output_file_id: row.outputFileId,
    error_file_id: row.errorFileId,
    created_at: seconds(row.createdAtMs)!,
    in_progress_at: seconds(row.inProgressAtMs),
    expires_at: seconds(row.expiresAtMs)!,
    finalizing_at: seconds(row.finalizingAtMs),
    cancelling_at: seconds(row.cancellingAtMs),
    completed_at: null,
    failed_at: null,
    expired_at: null,
    cancelled_at: null,
    ...(endedAt === undefined ? {} : { [endedAt]: seconds(row.endedAtMs) }),
    request_counts: { total: row.total, completed: row.completed, failed: row.failed },
    usage: {
      input_tokens: usage.promptTokens,
      input_tokens_details: { cached_tokens: usage.cachedTokens },
      output_tokens: usage.completionTokens,
      output_tokens_details: { reasoning_tokens: usage.reasoningTokens },
      total_tokens: usage.promptTokens + usage.completionTokens,
      ...toPublicCost(nanoUsd(row.chargeNanoUsd)),
    },
    metadata: row.metadata,
    tollgate: { paused_by: row.pausedBy, key_id: row.keyId },
  };
}
