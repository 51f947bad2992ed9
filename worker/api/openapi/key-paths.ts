/** Routes that manage keys, and the one that makes short-lived tokens. */
import type { ZodOpenApiPathsObject } from 'zod-openapi';
import { KeyBody, KeyPatch, RotateBody } from '../keys.ts';
import { PageQuery } from '../page-query.ts';
import { TokenBody } from '../tokens.ts';
import { operation } from './operation.ts';
import * as responses from './responses.ts';
import { AUTH_ERRORS, idParameter, MODEL, TAGS } from './shared.ts';

const KEY_ID = idParameter('`key_…`');

export const keyPaths: ZodOpenApiPathsObject = {
  '/v1/keys': {
    get: operation({
      tag: TAGS.keys,
      summary: 'Keys of the account, newest first',
      description: 'Keys are managed with a management key, which can do nothing else.',
      query: PageQuery,
      response: responses.listOf(responses.Key),
      errors: [400, ...AUTH_ERRORS],
    }),
    post: operation({
      tag: TAGS.keys,
      summary: 'Make a key',
      description: 'It gets no more than the management key has. The key itself is said this once.',
      body: KeyBody,
      bodyExample: { name: 'production', cap: '50.00', cap_period: 'month' },
      response: responses.NewKey,
      status: 201,
      errors: [400, ...AUTH_ERRORS],
    }),
  },
  '/v1/keys/{id}': {
    get: operation({
      tag: TAGS.keys,
      summary: 'One key',
      path: KEY_ID,
      response: responses.Key,
      errors: [...AUTH_ERRORS, 404],
    }),
    patch: operation({
      tag: TAGS.keys,
      summary: 'Change a key',
      description: 'What is not named stays as it is. In force everywhere within ten seconds.',
      path: KEY_ID,
      body: KeyPatch,
      bodyExample: { cap: '100.00' },
      response: responses.Key,
      errors: [400, ...AUTH_ERRORS, 404],
    }),
    delete: operation({
      tag: TAGS.keys,
      summary: 'Revoke a key',
      description: 'It is dead everywhere within ten seconds.',
      path: KEY_ID,
      response: responses.Deleted,
      errors: [...AUTH_ERRORS, 404],
    }),
  },
  '/v1/keys/{id}/rotate': {
    post: operation({
      tag: TAGS.keys,
      summary: 'Replace a key by a new one on the same terms',
      description: 'The old one goes on for `overlap_seconds`.',
      path: KEY_ID,
      body: RotateBody,
      bodyExample: { overlap_seconds: 3_600 },
      response: responses.NewKey,
      status: 201,
      errors: [400, ...AUTH_ERRORS, 404],
    }),
  },
  '/v1/tokens': {
    post: operation({
      tag: TAGS.keys,
      summary: 'Make a short-lived token for a browser or a phone',
      description:
        'A JWT that asks models for answers, spends at most its cap, ends by itself and ends with its key. Browsers may use it from any origin.',
      body: TokenBody,
      bodyExample: { cap: '0.10', expires_in: 600, models: [MODEL] },
      response: responses.Token,
      errors: [400, ...AUTH_ERRORS],
    }),
  },
};
