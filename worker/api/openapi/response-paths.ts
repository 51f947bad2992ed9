/** Routes of the stored responses of OpenAI's Responses API. */
import * as z from 'zod';
import type { ZodOpenApiPathsObject } from 'zod-openapi';
import { InputItemsQuery, ResponseQuery } from '../responses.ts';
import { operation } from './operation.ts';
import * as responses from './responses.ts';
import { COUNTED_ERRORS, idParameter, TAGS } from './shared.ts';

const ERRORS = [...COUNTED_ERRORS, 404] as const;
const path = idParameter('id of a response that this key has made, or a key that it succeeds by rotation');

export const responsePaths: ZodOpenApiPathsObject = {
  '/v1/responses/{id}': {
    get: operation({
      tag: TAGS.stored,
      summary: 'Get a stored response',
      path,
      query: ResponseQuery,
      response: responses.ResponseObject,
      errors: ERRORS,
    }),
    delete: operation({
      tag: TAGS.stored,
      summary: 'Delete a stored response',
      description: 'Responses that continue it can then not be continued any more.',
      path,
      response: responses.DeletedResponse,
      errors: ERRORS,
    }),
  },
  '/v1/responses/{id}/input_items': {
    get: operation({
      tag: TAGS.stored,
      summary: 'List what a response was made of',
      description: 'The items of the responses before it, then its own input.',
      path,
      query: InputItemsQuery,
      response: responses.ItemList,
      errors: ERRORS,
    }),
  },
  '/v1/responses/{id}/cancel': {
    post: operation({
      tag: TAGS.stored,
      summary: 'Cancel a background response',
      description: 'Always refused: no response runs in the background. To stop one, close its connection.',
      path,
      response: z.never(),
      errors: ERRORS,
    }),
  },
};
