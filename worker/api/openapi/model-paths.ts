/** Routes of the catalogue, which need no key. */
import type { ZodOpenApiPathsObject } from 'zod-openapi';
import { operation } from './operation.ts';
import * as responses from './responses.ts';
import { idParameter, TAGS } from './shared.ts';

export const modelPaths: ZodOpenApiPathsObject = {
  '/v1/models': {
    get: operation({
      tag: TAGS.models,
      summary: 'Models',
      description: 'With aliases, revision, licence, price, and whether a node serves each now.',
      response: responses.Models,
      errors: [],
      security: null,
    }),
  },
  '/v1/models/{id}': {
    get: operation({
      tag: TAGS.models,
      summary: 'One model',
      path: idParameter('id or alias of a model'),
      response: responses.Model,
      errors: [404],
      security: null,
    }),
  },
  '/anthropic/v1/models': {
    get: operation({
      tag: TAGS.models,
      summary: 'Models, as Anthropic lists them',
      response: responses.AnthropicModels,
      errors: [],
      security: null,
    }),
  },
};
