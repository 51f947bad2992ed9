/** Routes about the account that a key belongs to: balance, limits, usage, single requests. */
import type { ZodOpenApiPathsObject } from 'zod-openapi';
import { UsageQuery } from '../usage.ts';
import { operation } from './operation.ts';
import * as responses from './responses.ts';
import { AUTH_ERRORS, idParameter, TAGS } from './shared.ts';

export const accountPaths: ZodOpenApiPathsObject = {
  '/user/balance': {
    get: operation({
      tag: TAGS.account,
      summary: 'Balance',
      description: 'As DeepSeek answers it, exact to the nano-dollar.',
      response: responses.Balance,
      errors: AUTH_ERRORS,
    }),
  },
  '/v1/key': {
    get: operation({
      tag: TAGS.account,
      summary: 'What this key may do and has used',
      description: 'With a short-lived token: its cap and what is left of it.',
      response: responses.KeyNow,
      errors: AUTH_ERRORS,
    }),
  },
  '/v1/usage': {
    get: operation({
      tag: TAGS.account,
      summary: 'Usage by time, key and model',
      description:
        'Oldest first; buckets in which nothing happened have no row. A day of minutes, a month of hours or two years of days at most.',
      query: UsageQuery,
      response: responses.listOf(responses.UsageRow),
      alternative: ['text/csv', 'with `format=csv`'],
      errors: [400, ...AUTH_ERRORS],
    }),
  },
  '/v1/generations/{id}': {
    get: operation({
      tag: TAGS.account,
      summary: 'One request, and the arithmetic of its price',
      description: 'There as soon as the request has ended.',
      path: idParameter('`x-request-id` of the answer'),
      response: responses.Generation,
      errors: [...AUTH_ERRORS, 404],
    }),
  },
};
