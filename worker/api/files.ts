/** /v1/files in OpenAI's form: the inputs of batches, and their results. */
import * as z from 'zod';
import { fileContent } from '../batches/file-content.ts';
import { deleteParts } from '../batches/file-parts.ts';
import { isFileInUse } from '../db/batches.ts';
import { database } from '../db/client.ts';
import { addFileIfRoom, deleteFile, type FileRow, fileTotals, findFile, listFiles } from '../db/files.ts';
import { FILE_PURPOSES } from '../db/schema.ts';
import { isId, newId } from '../domain/ids.ts';
import { MAXIMA } from '../domain/maxima.ts';
import { retentionMs } from '../domain/retention.ts';
import { readFields } from '../http/fields.ts';
import type { ApiContext } from '../http/response-headers.ts';
import { PageQuery, pageOf } from './page-query.ts';
import { respondWithError } from './respond-with-error.ts';

const FILES_MAX = MAXIMA.files.count;
const STORED_BYTES_MAX = MAXIMA.file_bytes.count;
const STORAGE_FULL = { reason: 'storage_full', filesMax: FILES_MAX, bytesMax: STORED_BYTES_MAX } as const;

const HOUR_S = 3_600;
const KEEP_S = retentionMs('file') / 1_000;

/** The text fields of the upload form beside `file`, with OpenAI's names. */
export const FileForm = z.object({
  purpose: z.literal('batch', { error: 'must be "batch": files can be used only for batches' }),
  'expires_after[seconds]': z.coerce.number().int().min(HOUR_S).max(KEEP_S).default(KEEP_S),
});
export const FilesQuery = PageQuery.extend({ purpose: z.enum(FILE_PURPOSES).optional() });

export async function uploadFile(c: ApiContext): Promise<Response> {
  const nowMs = Date.now();
  const { accountId } = c.get('principal');
  const db = database(c.env);
  // known before the upload is received; an upload that others overtake is refused when its row is added
  const stored = await fileTotals(db, { accountId, nowMs });
  if (stored.files >= FILES_MAX || stored.bytes >= STORED_BYTES_MAX) {
    return respondWithError(c, STORAGE_FULL);
  }

  const id = newId('file', nowMs);
  const { receiveUpload } = await import('../batches/upload.ts');
  const received = await receiveUpload(c.env.FILES, c.req.raw, id);
  if (!received.ok) return respondWithError(c, received.refusal);
  const { name, bytes, parts, fields } = received.upload;
  const form = readFields(FileForm, fields, new Headers());
  if (!form.ok) {
    await deleteParts(c.env.FILES, id, parts);
    return respondWithError(c, form.error);
  }
  const row: FileRow = {
    id,
    accountId,
    name,
    purpose: form.fields.purpose,
    bytes,
    parts,
    createdAtMs: nowMs,
    expiresAtMs: nowMs + 1_000 * form.fields['expires_after[seconds]'],
  };
  if (!(await addFileIfRoom(db, row))) {
    await deleteParts(c.env.FILES, id, parts);
    return respondWithError(c, STORAGE_FULL);
  }
  return c.json(describe(row));
}

export async function getFiles(c: ApiContext): Promise<Response> {
  const nowMs = Date.now();
  const query = readFields(FilesQuery, c.req.query(), new Headers());
  if (!query.ok) return respondWithError(c, query.error);
  const { purpose = null, limit, after = null } = query.fields;
  const { accountId } = c.get('principal');
  const rows = await listFiles(database(c.env), {
    accountId,
    nowMs,
    purpose,
    afterId: after,
    limit: limit + 1,
  });
  return c.json(pageOf(rows.map(describe), limit));
}

export async function getFile(c: ApiContext): Promise<Response> {
  return withFile(c, async (row) => c.json(describe(row)));
}

export async function getFileContent(c: ApiContext): Promise<Response> {
  return withFile(c, async (row) => fileContent(c.env.FILES, row, c.executionCtx));
}

export async function removeFile(c: ApiContext): Promise<Response> {
  return withFile(c, async ({ id, accountId, parts }) => {
    const db = database(c.env);
    if (await isFileInUse(db, { accountId, fileId: id })) {
      return respondWithError(c, { reason: 'file_in_use' });
    }
    // the row is deleted first: parts without a row only waste space, a row without parts would make downloads fail
    await deleteFile(db, { id, accountId });
    await deleteParts(c.env.FILES, id, parts);
    return c.json({ id, object: 'file', deleted: true });
  });
}

/** Responds with the account's file that the path names, or with 404. */
async function withFile(c: ApiContext, respond: (row: FileRow) => Promise<Response>): Promise<Response> {
  const nowMs = Date.now();
  const id = c.req.param('id') ?? '';
  const { accountId } = c.get('principal');
  const row = isId('file', id) ? await findFile(database(c.env), { id, accountId, nowMs }) : null;
  return row ? respond(row) : respondWithError(c, { reason: 'file_not_found' });
}

function describe({ id, name, purpose, bytes, createdAtMs, expiresAtMs }: FileRow) {
  return {
    id,
    object: 'file' as const,
    bytes,
    created_at: Math.floor(createdAtMs / 1_000),
    expires_at: Math.floor(expiresAtMs / 1_000),
    filename: name,
    purpose,
    status: 'processed' as const,
  };
}
