/** One route of the document: what goes in, what comes out, and which refusals it has. */
import * as z from 'zod';
import type { ZodOpenApiOperationObject, ZodOpenApiResponsesObject } from 'zod-openapi';
import { ErrorEnvelope } from './responses.ts';

/** What each status means, in one breath. */
const REFUSALS = {
  400: 'A field is wrong; `param` names it.',
  401: 'The key is missing, malformed, unknown, revoked or expired.',
  402: 'The balance or a cap is reached; the message says which and how much is missing.',
  403: 'The key may not use this model or this route, or an operator has suspended its account (`account_suspended`).',
  404: 'There is no such model, request, key, file or batch here.',
  409: 'The idempotency key is in use, or a batch still reads the file.',
  413: 'The body is larger than 4 MiB, the file larger than 100 MiB.',
  415: 'The body is not JSON, or it is compressed.',
  422: 'The idempotency key was used for another body.',
  429: 'A limit of the key or the account; `retry-after` says when to ask again.',
  502: 'The node that worked on it failed. Nothing was charged.',
  503: 'All nodes are busy, or none serves the model now. Nothing was charged.',
  504: 'No first token came in time. Nothing was charged.',
} as const;
export type Refused = keyof typeof REFUSALS;

export const INFERENCE: readonly Refused[] = [
  400, 401, 402, 403, 404, 409, 413, 415, 422, 429, 502, 503, 504,
];

/** Sent with every answer; the limits where somebody was recognised. */
const HEADERS = z.object({
  'x-request-id': z.string().meta({ description: 'names the request for ever, as does `request-id`' }),
  'openai-processing-ms': z.string(),
  'x-ratelimit-limit-requests': z.string().optional(),
  'x-ratelimit-remaining-requests': z.string().optional(),
  'x-ratelimit-reset-requests': z.string().optional(),
});

export interface Described {
  readonly tag: string;
  readonly summary: string;
  readonly description?: string;
  readonly path?: z.ZodObject;
  readonly query?: z.ZodObject;
  readonly body?: z.ZodType;
  readonly bodyExample?: unknown;
  /** of its body; default: JSON */
  readonly bodyType?: string;
  readonly answer: z.ZodType;
  readonly status?: 200 | 201;
  /** another form of the answer: its media type and what it is */
  readonly also?: readonly [mediaType: string, description: string];
  readonly refusals: readonly Refused[];
  readonly refusalShape?: z.ZodType;
  /** null: nobody has to say who they are */
  readonly security?: readonly string[] | null;
  readonly samples?: readonly { lang: string; label: string; source: string }[];
}

export function operation(described: Described): ZodOpenApiOperationObject {
  const { tag, summary, description, path, query, body, bodyExample, answer, also, refusals } = described;
  const { bodyType = 'application/json', status = 200, refusalShape = ErrorEnvelope } = described;
  const responses: ZodOpenApiResponsesObject = {
    [status]: {
      description: summary,
      headers: HEADERS,
      content: {
        'application/json': { schema: answer },
        ...(also ? { [also[0]]: { schema: z.string().meta({ description: also[1] }) } } : {}),
      },
    },
  };
  for (const each of refusals)
    responses[`${each}`] = {
      description: REFUSALS[each],
      content: { 'application/json': { schema: refusalShape } },
    };
  const params = { ...(path ? { path } : {}), ...(query ? { query } : {}) };
  const { security = ['bearer'], samples } = described;
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
