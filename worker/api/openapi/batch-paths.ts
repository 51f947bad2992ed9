/** Routes of files and batches. */
import * as z from 'zod';
import type { ZodOpenApiPathsObject } from 'zod-openapi';
import { BatchBody } from '../batches.ts';
import { FileForm, FilesQuery } from '../files.ts';
import { PageQuery } from '../page-query.ts';
import { operation } from './operation.ts';
import * as responses from './responses.ts';
import { BODY_ERRORS, COUNTED_ERRORS, idParameter, READ_ERRORS, TAGS } from './shared.ts';

const FILE_ID = idParameter('`file_…`');
const BATCH_ID = idParameter('`batch_…`');

export const batchPaths: ZodOpenApiPathsObject = {
  '/v1/files': {
    get: operation({
      tag: TAGS.batches,
      summary: 'List files, newest first',
      query: FilesQuery,
      response: responses.listOf(responses.File),
      errors: READ_ERRORS,
    }),
    post: operation({
      tag: TAGS.batches,
      summary: 'Upload a file of requests',
      description: 'JSONL with at most 100 MiB and 50,000 lines.',
      body: FileForm.extend({ file: z.string().meta({ format: 'binary' }) }),
      bodyType: 'multipart/form-data',
      response: responses.File,
      errors: [...COUNTED_ERRORS, 413],
    }),
  },
  '/v1/files/{id}': {
    get: operation({
      tag: TAGS.batches,
      summary: 'Get a file',
      path: FILE_ID,
      response: responses.File,
      errors: [...READ_ERRORS, 404],
    }),
    delete: operation({
      tag: TAGS.batches,
      summary: 'Delete a file',
      path: FILE_ID,
      response: responses.Deleted,
      errors: [...COUNTED_ERRORS, 404, 409],
    }),
  },
  '/v1/files/{id}/content': {
    get: operation({
      tag: TAGS.batches,
      summary: 'Get the content of a file',
      path: FILE_ID,
      response: z.string().meta({ description: 'one JSON object per line' }),
      responseType: 'application/jsonl',
      errors: [...COUNTED_ERRORS, 404],
    }),
  },
  '/v1/batches': {
    get: operation({
      tag: TAGS.batches,
      summary: 'List batches, newest first',
      query: PageQuery,
      response: responses.listOf(responses.Batch),
      errors: READ_ERRORS,
    }),
    post: operation({
      tag: TAGS.batches,
      summary: 'Create a batch: a file of requests, answered within 24 hours at the batch price',
      description:
        'A line costs at most half of what the same request costs at any time within 24 hours, off-peak hours included. An invalid line gets its own error and the others run. Without credit, at a cap or while the account is suspended, the batch pauses; `tollgate.paused_by` states the reason.',
      body: BatchBody,
      response: responses.Batch,
      errors: BODY_ERRORS,
    }),
  },
  '/v1/batches/{id}': {
    get: operation({
      tag: TAGS.batches,
      summary: 'Get a batch and its progress',
      path: BATCH_ID,
      response: responses.Batch,
      errors: [...READ_ERRORS, 404],
    }),
  },
  '/v1/batches/{id}/cancel': {
    post: operation({
      tag: TAGS.batches,
      summary: 'Cancel a batch',
      description: 'Running lines finish and are charged; the others never start.',
      path: BATCH_ID,
      response: responses.Batch,
      errors: [...COUNTED_ERRORS, 404],
    }),
  },
};
