/** Routes of the catalogue, which need no key. */
import type { ZodOpenApiPathsObject } from 'zod-openapi';
import { operation } from './operation.ts';
import * as responses from './responses.ts';
import { idParameter, TAGS } from './shared.ts';

export const modelPaths: ZodOpenApiPathsObject = {
  '/v1/models': {
    get: operation({
      tag: TAGS.models,
      summary: 'List models',
      description:
        'Each model with its aliases, revision, licence, prices, and whether a node is serving it now.',
      response: responses.Models,
      errors: [],
      security: null,
    }),
  },
  '/v1/models/{id}': {
    get: operation({
      tag: TAGS.models,
      summary: 'Get a model',
      path: idParameter('id or alias of the model'),
      response: responses.Model,
      errors: [404],
      security: null,
    }),
  },
  '/anthropic/v1/models': {
    get: operation({
      tag: TAGS.models,
      summary: 'List models in Anthropic’s format',
      response: responses.AnthropicModels,
      errors: [],
      security: null,
    }),
  },
};
