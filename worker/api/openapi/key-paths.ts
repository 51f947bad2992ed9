/** Routes that manage keys, and the one that makes short-lived tokens. */
import type { ZodOpenApiPathsObject } from 'zod-openapi';
import { KeyBody, KeyPatch, RotateBody } from '../keys.ts';
import { PageQuery } from '../page-query.ts';
import { TokenBody } from '../tokens.ts';
import { operation } from './operation.ts';
import * as responses from './responses.ts';
import { BODY_ERRORS, COUNTED_ERRORS, idParameter, READ_ERRORS, TAGS } from './shared.ts';

const KEY_ID = idParameter('`key_…`');

/** @param modelId that examples ask for */
export const keyPaths = (modelId: string): ZodOpenApiPathsObject => ({
  '/v1/keys': {
    get: operation({
      tag: TAGS.keys,
      summary: 'List keys, newest first',
      description:
        'The routes under `/v1/keys` need a management key, which can only manage keys and aliases.',
      query: PageQuery,
      response: responses.listOf(responses.Key),
      errors: READ_ERRORS,
    }),
    post: operation({
      tag: TAGS.keys,
      summary: 'Create a key',
      description:
        'Its limits cannot exceed those of the management key, and all keys that one management key made share its cap. The key itself is returned only once.',
      body: KeyBody,
      bodyExample: { name: 'production', cap: '50.00', cap_period: 'month' },
      response: responses.NewKey,
      status: 201,
      errors: BODY_ERRORS,
    }),
  },
  '/v1/keys/{id}': {
    get: operation({
      tag: TAGS.keys,
      summary: 'Get a key',
      path: KEY_ID,
      response: responses.Key,
      errors: [...READ_ERRORS, 404],
    }),
    patch: operation({
      tag: TAGS.keys,
      summary: 'Change a key',
      description:
        'Fields that are left out do not change. Takes effect everywhere within ten seconds. A key that is revoked or has expired stays so.',
      path: KEY_ID,
      body: KeyPatch,
      bodyExample: { cap: '100.00' },
      response: responses.Key,
      errors: [...BODY_ERRORS, 404, 409],
    }),
    delete: operation({
      tag: TAGS.keys,
      summary: 'Revoke a key',
      description: 'It is refused everywhere within ten seconds.',
      path: KEY_ID,
      response: responses.Deleted,
      errors: [...COUNTED_ERRORS, 404],
    }),
  },
  '/v1/keys/{id}/rotate': {
    post: operation({
      tag: TAGS.keys,
      summary: 'Replace a key with a new one that has the same settings',
      description:
        'The old key keeps working for `overlap_seconds`. What both spend counts against the cap together, so a cap that is used up stays so. A key is rotated once; after that, rotate its successor.',
      path: KEY_ID,
      body: RotateBody,
      bodyExample: { overlap_seconds: 3_600 },
      response: responses.NewKey,
      status: 201,
      errors: [...BODY_ERRORS, 404, 409],
    }),
  },
  '/v1/tokens': {
    post: operation({
      tag: TAGS.keys,
      summary: 'Create a short-lived token for a browser or mobile app',
      description:
        'A JWT that can only be used for inference, spends at most its cap, and expires by itself or with its key. Browsers can use it from any origin.',
      body: TokenBody,
      bodyExample: { cap: '0.10', expires_in: 600, models: [modelId] },
      response: responses.Token,
      errors: BODY_ERRORS,
    }),
  },
});
