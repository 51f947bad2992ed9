/** Routes of files and batches. */
import * as z from 'zod';
import type { ZodOpenApiPathsObject } from 'zod-openapi';
import { BatchBody } from '../batches.ts';
import { FileForm, FilesQuery } from '../files.ts';
import { PageQuery } from '../page-query.ts';
import { operation } from './operation.ts';
import * as responses from './responses.ts';
import { AUTH_ERRORS, idParameter, TAGS } from './shared.ts';

const FILE_ID = idParameter('`file_…`');
const BATCH_ID = idParameter('`batch_…`');

export const batchPaths: ZodOpenApiPathsObject = {
  '/v1/files': {
    get: operation({
      tag: TAGS.batches,
      summary: 'List files, newest first',
      query: FilesQuery,
      response: responses.listOf(responses.File),
      errors: [400, ...AUTH_ERRORS],
    }),
    post: operation({
      tag: TAGS.batches,
      summary: 'Upload a file of requests',
      description: 'JSONL with at most 100 MiB and 50,000 lines.',
      body: FileForm.extend({ file: z.string().meta({ format: 'binary' }) }),
      bodyType: 'multipart/form-data',
      response: responses.File,
      errors: [400, ...AUTH_ERRORS, 413, 429],
    }),
  },
  '/v1/files/{id}': {
    get: operation({
      tag: TAGS.batches,
      summary: 'Get a file',
      path: FILE_ID,
      response: responses.File,
      errors: [...AUTH_ERRORS, 404],
    }),
    delete: operation({
      tag: TAGS.batches,
      summary: 'Delete a file',
      path: FILE_ID,
      response: responses.Deleted,
      errors: [...AUTH_ERRORS, 404, 409, 429],
    }),
  },
  '/v1/files/{id}/content': {
    get: operation({
      tag: TAGS.batches,
      summary: 'Get the content of a file',
      path: FILE_ID,
      response: z.string(),
      alternative: ['application/jsonl', 'one JSON object per line'],
      errors: [...AUTH_ERRORS, 404],
    }),
  },
  '/v1/batches': {
    get: operation({
      tag: TAGS.batches,
      summary: 'List batches, newest first',
      query: PageQuery,
      response: responses.listOf(responses.Batch),
      errors: [400, ...AUTH_ERRORS],
    }),
    post: operation({
      tag: TAGS.batches,
      summary: 'Create a batch: a file of requests, answered within 24 hours at half the price',
      description:
        'An invalid line gets its own error and the others run. Without credit, at a cap or while the account is suspended, the batch pauses; `tollgate.paused_by` states the reason.',
      body: BatchBody,
      response: responses.Batch,
      errors: [400, ...AUTH_ERRORS, 429],
    }),
  },
  '/v1/batches/{id}': {
    get: operation({
      tag: TAGS.batches,
      summary: 'Get a batch and its progress',
      path: BATCH_ID,
      response: responses.Batch,
      errors: [...AUTH_ERRORS, 404],
    }),
  },
  '/v1/batches/{id}/cancel': {
    post: operation({
      tag: TAGS.batches,
      summary: 'Cancel a batch',
      description: 'Running lines finish and are charged; the others never start.',
      path: BATCH_ID,
      response: responses.Batch,
      errors: [...AUTH_ERRORS, 404, 429],
    }),
  },
};
