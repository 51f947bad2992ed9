/** Routes about the account that a key belongs to: balance, limits, usage, single requests. */
import * as z from 'zod';
import type { ZodOpenApiPathsObject } from 'zod-openapi';
import { UsageQuery } from '../usage.ts';
import { operation } from './operation.ts';
import * as responses from './responses.ts';
import { COUNTED_ERRORS, idParameter, READ_ERRORS, TAGS } from './shared.ts';

export const accountPaths: ZodOpenApiPathsObject = {
  '/user/balance': {
    get: operation({
      tag: TAGS.account,
      summary: 'Get the balance',
      description: 'In DeepSeek’s format, exact to the billionth of a dollar.',
      response: responses.Balance,
      errors: READ_ERRORS,
    }),
  },
  '/v1/key': {
    get: operation({
      tag: TAGS.account,
      summary: 'Get the limits and usage of the calling key',
      description: 'For a short-lived token: its cap and what is left of it.',
      response: z.union([responses.KeyNow, responses.TokenNow]),
      errors: READ_ERRORS,
    }),
  },
  '/v1/usage': {
    get: operation({
      tag: TAGS.account,
      summary: 'Get usage by time, key and model',
      description:
        'Requests admitted since `start` and before `end`, in buckets, oldest first; a bucket that the range cuts has only its part. Buckets without requests have no row. At most a day of minutes, a month of hours or two years of days.',
      query: UsageQuery,
      response: responses.listOf(responses.UsageRow),
      alternative: ['text/csv', 'with `format=csv`'],
      errors: COUNTED_ERRORS,
    }),
  },
  '/v1/generations/{id}': {
    get: operation({
      tag: TAGS.account,
      summary: 'Get a request and its price calculation',
      description: 'Available as soon as the request has ended.',
      path: idParameter('the `x-request-id` of the response'),
      response: responses.Generation,
      errors: [...READ_ERRORS, 404],
    }),
  },
};
