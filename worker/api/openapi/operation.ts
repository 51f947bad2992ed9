/** One operation of the OpenAPI document: its parameters and body, its response, and its errors. */
import * as z from 'zod';
import type { ZodOpenApiOperationObject, ZodOpenApiResponsesObject } from 'zod-openapi';
import { ErrorEnvelope } from './responses.ts';

/** The description of each error status. */
const ERRORS = {
  400: 'A field is invalid, and `param` names it; or two headers hold different keys.',
  401: 'The key is missing, malformed, unknown, revoked or expired.',
  402: 'The balance is too low or a cap is reached; the message says which, with the amounts.',
  403: 'The key is not allowed to use this model or route, or the account is suspended (`account_suspended`).',
  404: 'The model, request, key, file or batch does not exist in this account, or the model has ended (`model_ended`; the message names its successor).',
  409: 'A request with this idempotency key is running or the key is exhausted, a batch is still reading the file, or the API key is revoked, expired or rotated.',
  413: 'The body is larger than 4 MiB, or the file larger than 100 MiB.',
  415: 'The body is not JSON, or is compressed.',
  422: 'The idempotency key was already used for a different request.',
  429: 'A limit of the key or the account is reached; `retry-after` says when to retry.',
  502: 'The node that served the request failed. Nothing was charged.',
  503: 'All nodes are busy, or none is serving the model. Nothing was charged.',
  504: 'No node returned a first token in time. Nothing was charged.',
} as const;
export type ErrorStatus = keyof typeof ERRORS;

/** Errors of a route that asks a model for an answer. */
export const INFERENCE_ERRORS: readonly ErrorStatus[] = [
  400, 401, 402, 403, 404, 409, 413, 415, 422, 429, 502, 503, 504,
];

/** Headers of every response; the rate limits are sent where a key was recognised. */
const HEADERS = z.object({
  'x-request-id': z.string().meta({ description: 'the id of the request, also sent as `request-id`' }),
  'openai-processing-ms': z.string(),
  'x-ratelimit-limit-requests': z.string().optional(),
  'x-ratelimit-remaining-requests': z.string().optional(),
  'x-ratelimit-reset-requests': z.string().optional(),
});

/** Headers of a route that asks a model for an answer. */
const ANSWER_HEADERS = HEADERS.extend({
  deprecation: z
    .string()
    .optional()
    .meta({ description: 'the end of the model is announced (RFC 9745): when that was' }),
  sunset: z.string().optional().meta({ description: 'when the model ends (RFC 8594)' }),
  'x-tollgate-successor': z
    .string()
    .optional()
    .meta({ description: 'the model recommended in place of one that ends' }),
  'x-tollgate-ignored': z.string().optional().meta({
    description: 'fields of the request that had no effect, joined by commas; absent: every field had one',
  }),
});

const JSON_TYPE = 'application/json';

export interface OperationSpec {
  readonly tag: string;
  readonly summary: string;
  readonly description?: string;
  readonly path?: z.ZodObject;
  readonly query?: z.ZodObject;
  readonly body?: z.ZodType;
  readonly bodyExample?: unknown;
  /** media type of the body; default: JSON */
  readonly bodyType?: string;
  readonly response: z.ZodType;
  readonly status?: 200 | 201;
  /** media type of the response; default: JSON */
  readonly responseType?: string;
  /** another form of the response, without a type: some readers apply it to the whole text, others to each event */
  readonly alternative?: readonly [mediaType: string, description: string];
  readonly errors: readonly ErrorStatus[];
  /** of the error's body; default: OpenAI's envelope */
  readonly errorSchema?: z.ZodType;
  /** names of accepted security schemes, default: bearer; null: no key is needed */
  readonly security?: readonly string[] | null;
  /** the response is a model's answer */
  readonly isAnswer?: boolean;
  readonly samples?: readonly { lang: string; label: string; source: string }[];
}

export function operation(spec: OperationSpec): ZodOpenApiOperationObject {
  const { tag, summary, description, path, query, body, bodyExample, response, alternative, errors } = spec;
  const { bodyType = JSON_TYPE, responseType = JSON_TYPE, status = 200, errorSchema = ErrorEnvelope } = spec;
  const responses: ZodOpenApiResponsesObject = {
    [status]: {
      description: summary,
      headers: spec.isAnswer ? ANSWER_HEADERS : HEADERS,
      content: {
        [responseType]: { schema: response },
        ...(alternative
          ? { [alternative[0]]: { schema: z.unknown().meta({ description: alternative[1] }) } }
          : {}),
      },
    },
  };
  for (const error of errors)
    responses[`${error}`] = {
      description: ERRORS[error],
      content: { [JSON_TYPE]: { schema: errorSchema } },
    };
  const params = { ...(path ? { path } : {}), ...(query ? { query } : {}) };
  const { security = ['bearer'], samples } = spec;
  return {
    tags: [tag],
    summary,
    ...(description ? { description } : {}),
    requestParams: params,
    ...(body
      ? {
          requestBody: {
            required: true,
            content: { [bodyType]: { schema: body, ...(bodyExample ? { example: bodyExample } : {}) } },
          },
        }
      : {}),
    responses,
    security: security === null ? [] : security.map((scheme) => ({ [scheme]: [] })),
    ...(samples ? { 'x-codeSamples': samples } : {}),
  };
}
