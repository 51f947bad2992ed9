/** Routes of the catalogue, which need no key. */
import type { ZodOpenApiPathsObject } from 'zod-openapi';
import { AliasBody } from '../aliases.ts';
import { AnthropicModelsQuery } from '../anthropic-models.ts';
import { operation } from './operation.ts';
import * as responses from './responses.ts';
import { BODY_ERRORS, COUNTED_ERRORS, idParameter, READ_ERRORS, TAGS } from './shared.ts';

const ALIAS_ID = idParameter('the name; it may contain `/`');

/** @param modelId that examples ask for */
export const modelPaths = (modelId: string): ZodOpenApiPathsObject => ({
  '/v1/models': {
    get: operation({
      tag: TAGS.models,
      summary: 'List models',
      description:
        'Each model with its aliases, revision, licence, prices, and whether a node is serving it now. With a key, the aliases of its account follow.',
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
  '/v1/aliases': {
    get: operation({
      tag: TAGS.models,
      summary: 'List the account’s own names for models',
      response: responses.Aliases,
      errors: READ_ERRORS,
    }),
  },
  '/v1/aliases/{id}': {
    put: operation({
      tag: TAGS.models,
      summary: 'Set an alias: a name of your own for a model, with an effort',
      description:
        'Needs a management key. Every key and token of the account can then ask for the model by this name, in every API and in batches; answers name the model itself. Takes effect everywhere within ten seconds. Names of models that are sold here are refused.',
      path: ALIAS_ID,
      body: AliasBody,
      bodyExample: { model: modelId, effort: 'low' },
      response: responses.Alias,
      errors: BODY_ERRORS,
    }),
    delete: operation({
      tag: TAGS.models,
      summary: 'Remove an alias',
      description: 'Needs a management key. The name is unknown everywhere within ten seconds.',
      path: ALIAS_ID,
      response: responses.Deleted,
      errors: [...COUNTED_ERRORS, 404],
    }),
  },
  '/anthropic/v1/models': {
    get: operation({
      tag: TAGS.models,
      summary: 'List models in Anthropic’s format',
      description: 'Also `/v1/models`, for callers that send `anthropic-version`.',
      query: AnthropicModelsQuery,
      response: responses.AnthropicModels,
      errors: [400],
      errorSchema: responses.AnthropicError,
      security: null,
    }),
  },
  '/anthropic/v1/models/{id}': {
    get: operation({
      tag: TAGS.models,
      summary: 'Get a model in Anthropic’s format',
      path: idParameter('id or alias of the model'),
      response: responses.AnthropicModel,
      errors: [404],
      errorSchema: responses.AnthropicError,
      security: null,
    }),
  },
});
