/** GET /openapi.json: the public API described by the schemas that read its requests. A route a line in `paths`. */
import * as z from 'zod';
import { createDocument, type ZodOpenApiPathsObject } from 'zod-openapi';
import { config } from '../../env.ts';
import { examples } from '../../examples/examples.ts';
import { MessagesBody } from '../../gateway/dialects/anthropic-messages-request.ts';
import { ChatBody } from '../../gateway/dialects/openai-chat-request.ts';
import { CompletionsBody } from '../../gateway/dialects/openai-completions.ts';
import { ResponsesBody } from '../../gateway/dialects/openai-responses-request.ts';
import type { ApiContext } from '../../http/response-headers.ts';
import { BatchBody } from '../batches.ts';
import { FileForm, FilesQuery } from '../files.ts';
import { KeyBody, KeyPatch, RotateBody } from '../keys.ts';
import { PageQuery } from '../page-query.ts';
import { TokenBody } from '../tokens.ts';
import { UsageQuery } from '../usage.ts';
import { INFERENCE, operation, type Refused } from './operation.ts';
import * as answers from './responses.ts';

const TAGS = {
  answers: 'Answers',
  models: 'Models',
  account: 'Account',
  keys: 'Keys and tokens',
  batches: 'Files and batches',
  service: 'Service',
} as const;

const MODEL = 'deepseek-reasoner';
const ASKED = [401, 403] as const satisfies Refused[];
const byId = (description: string) => z.object({ id: z.string().meta({ description }) });
const KEY_ID = byId('`key_…`');
const FILE_ID = byId('`file_…`');
const BATCH_ID = byId('`batch_…`');
const EVENTS = 'Server-sent events, with `stream: true`';

function paths(origin: string): ZodOpenApiPathsObject {
  const question = 'How many primes are below 100?';
  const say = [{ role: 'user', content: question }];
  const shown = examples({ baseUrl: `${origin}/v1`, model: MODEL, question, key: null });
  const samples = shown.map(({ language, name, code }) => ({ lang: language, label: name, source: code }));
  return {
    '/v1/chat/completions': {
      post: operation({
        tag: TAGS.answers,
        summary: 'Chat completion',
        description:
          'OpenAI’s and DeepSeek’s chat, streamed and not; also at `/chat/completions` and `/beta/chat/completions`. Reasoning comes in `reasoning_content`; `reasoning_content` that is sent back is dropped. Unknown fields are ignored and never forwarded. `Idempotency-Key` makes a retry safe: the same key and body give the same answer and one charge.',
        body: ChatBody,
        bodyExample: { model: MODEL, messages: say },
        answer: answers.ChatCompletion,
        also: ['text/event-stream', `${EVENTS}: chunks, then \`data: [DONE]\`. Usage is in the last chunk.`],
        refusals: INFERENCE,
        samples,
      }),
    },
    '/v1/responses': {
      post: operation({
        tag: TAGS.answers,
        summary: 'Response',
        description:
          'OpenAI’s Responses without a memory: send the whole conversation in `input`. Reasoning comes as items.',
        body: ResponsesBody,
        bodyExample: { model: MODEL, input: question },
        answer: answers.ResponseObject,
        also: ['text/event-stream', `${EVENTS}: typed events up to \`response.completed\`.`],
        refusals: INFERENCE,
      }),
    },
    '/anthropic/v1/messages': {
      post: operation({
        tag: TAGS.answers,
        summary: 'Message',
        description:
          'Anthropic’s Messages; also at `/v1/messages`. Reasoning comes as `thinking` blocks. The base URL for Anthropic’s clients ends in `/anthropic`.',
        body: MessagesBody,
        bodyExample: { model: MODEL, max_tokens: 4_096, messages: say },
        answer: answers.Message,
        also: ['text/event-stream', `${EVENTS}: typed events from \`message_start\` to \`message_stop\`.`],
        refusals: INFERENCE,
        refusalShape: answers.AnthropicError,
        security: ['apiKey', 'bearer'],
      }),
    },
    '/v1/completions': {
      post: operation({
        tag: TAGS.answers,
        summary: 'Text completion',
        description:
          'Goes on with a text, without any chat template; also at `/completions` and `/beta/completions`. No model here offers fill-in-the-middle.',
        body: CompletionsBody,
        bodyExample: { model: 'deepseek-chat', prompt: 'Once upon a time', max_tokens: 64 },
        answer: answers.TextCompletion,
        also: ['text/event-stream', `${EVENTS}: completions in parts, then \`data: [DONE]\`.`],
        refusals: INFERENCE,
      }),
    },
    '/v1/models': {
      get: operation({
        tag: TAGS.models,
        summary: 'Models',
        description: 'With aliases, revision, licence, price, and whether a node serves each now.',
        answer: answers.Models,
        refusals: [],
        security: null,
      }),
    },
    '/v1/models/{id}': {
      get: operation({
        tag: TAGS.models,
        summary: 'One model',
        path: byId('id or alias of a model'),
        answer: answers.Model,
        refusals: [404],
        security: null,
      }),
    },
    '/anthropic/v1/models': {
      get: operation({
        tag: TAGS.models,
        summary: 'Models, as Anthropic lists them',
        answer: answers.AnthropicModels,
        refusals: [],
        security: null,
      }),
    },
    '/user/balance': {
      get: operation({
        tag: TAGS.account,
        summary: 'Balance',
        description: 'As DeepSeek answers it, exact to the nano-dollar.',
        answer: answers.Balance,
        refusals: ASKED,
      }),
    },
    '/v1/key': {
      get: operation({
        tag: TAGS.account,
        summary: 'What this key may do and has used',
        description: 'With a short-lived token: its cap and what is left of it.',
        answer: answers.KeyNow,
        refusals: ASKED,
      }),
    },
    '/v1/usage': {
      get: operation({
        tag: TAGS.account,
        summary: 'Usage by time, key and model',
        description:
          'Oldest first; buckets in which nothing happened have no row. A day of minutes, a month of hours or two years of days at most.',
        query: UsageQuery,
        answer: answers.listOf(answers.UsageRow),
        also: ['text/csv', 'with `format=csv`'],
        refusals: [400, ...ASKED],
      }),
    },
    '/v1/generations/{id}': {
      get: operation({
        tag: TAGS.account,
        summary: 'One request, and the arithmetic of its price',
        description: 'There as soon as the request has ended.',
        path: byId('`x-request-id` of the answer'),
        answer: answers.Generation,
        refusals: [...ASKED, 404],
      }),
    },
    '/v1/keys': {
      get: operation({
        tag: TAGS.keys,
        summary: 'Keys of the account, newest first',
        description: 'Keys are managed with a management key, which can do nothing else.',
        query: PageQuery,
        answer: answers.listOf(answers.Key),
        refusals: [400, ...ASKED],
      }),
      post: operation({
        tag: TAGS.keys,
        summary: 'Make a key',
        description: 'It gets no more than the management key has. The key itself is said this once.',
        body: KeyBody,
        bodyExample: { name: 'production', cap: '50.00', cap_period: 'month' },
        answer: answers.NewKey,
        status: 201,
        refusals: [400, ...ASKED],
      }),
    },
    '/v1/keys/{id}': {
      get: operation({
        tag: TAGS.keys,
        summary: 'One key',
        path: KEY_ID,
        answer: answers.Key,
        refusals: [...ASKED, 404],
      }),
      patch: operation({
        tag: TAGS.keys,
        summary: 'Change a key',
        description: 'What is not named stays as it is. In force everywhere within ten seconds.',
        path: KEY_ID,
        body: KeyPatch,
        bodyExample: { cap: '100.00' },
        answer: answers.Key,
        refusals: [400, ...ASKED, 404],
      }),
      delete: operation({
        tag: TAGS.keys,
        summary: 'Revoke a key',
        description: 'It is dead everywhere within ten seconds.',
        path: KEY_ID,
        answer: answers.Deleted,
        refusals: [...ASKED, 404],
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
        answer: answers.NewKey,
        status: 201,
        refusals: [400, ...ASKED, 404],
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
        answer: answers.Token,
        refusals: [400, ...ASKED],
      }),
    },
    '/v1/files': {
      get: operation({
        tag: TAGS.batches,
        summary: 'Files, newest first',
        query: FilesQuery,
        answer: answers.listOf(answers.File),
        refusals: [400, ...ASKED],
      }),
      post: operation({
        tag: TAGS.batches,
        summary: 'Upload a file of requests',
        description: 'JSONL of at most 100 MiB and 50,000 lines.',
        body: FileForm.extend({ file: z.string().meta({ format: 'binary' }) }),
        bodyType: 'multipart/form-data',
        answer: answers.File,
        refusals: [400, ...ASKED, 413],
      }),
    },
    '/v1/files/{id}': {
      get: operation({
        tag: TAGS.batches,
        summary: 'One file',
        path: FILE_ID,
        answer: answers.File,
        refusals: [...ASKED, 404],
      }),
      delete: operation({
        tag: TAGS.batches,
        summary: 'Delete a file',
        path: FILE_ID,
        answer: answers.Deleted,
        refusals: [...ASKED, 404, 409],
      }),
    },
    '/v1/files/{id}/content': {
      get: operation({
        tag: TAGS.batches,
        summary: 'What a file holds',
        path: FILE_ID,
        answer: z.string(),
        also: ['application/jsonl', 'one JSON object a line'],
        refusals: [...ASKED, 404],
      }),
    },
    '/v1/batches': {
      get: operation({
        tag: TAGS.batches,
        summary: 'Batches, newest first',
        query: PageQuery,
        answer: answers.listOf(answers.Batch),
        refusals: [400, ...ASKED],
      }),
      post: operation({
        tag: TAGS.batches,
        summary: 'Answer a file of requests within a day, at half the price',
        description:
          'A bad line gets its own error and the rest run. Out of credit, at a cap or while its account is suspended the batch waits; `tollgate.paused_by` says for what.',
        body: BatchBody,
        answer: answers.Batch,
        refusals: [400, ...ASKED, 429],
      }),
    },
    '/v1/batches/{id}': {
      get: operation({
        tag: TAGS.batches,
        summary: 'How far a batch is',
        path: BATCH_ID,
        answer: answers.Batch,
        refusals: [...ASKED, 404],
      }),
    },
    '/v1/batches/{id}/cancel': {
      post: operation({
        tag: TAGS.batches,
        summary: 'Begin no further line',
        description: 'Lines that run are finished, and paid for.',
        path: BATCH_ID,
        answer: answers.Batch,
        refusals: [...ASKED, 404],
      }),
    },
    '/healthz': {
      get: operation({
        tag: TAGS.service,
        summary: 'Whether the edge answers',
        answer: z.object({ ok: z.literal(true) }),
        refusals: [],
        security: null,
      }),
    },
  };
}

/** @param origin of this edge, without a trailing slash */
export function openApiDocument(origin: string) {
  return createDocument({
    openapi: '3.1.0',
    info: {
      title: 'Tollgate',
      version: '1',
      description:
        'Open-weight reasoning models behind the APIs of OpenAI, DeepSeek and Anthropic: change the base URL of your client. Errors say what to do next; every charge can be recomputed from `GET /v1/generations/{id}`.',
      license: { name: 'MIT', identifier: 'MIT' },
    },
    servers: [{ url: origin }],
    tags: Object.values(TAGS).map((name) => ({ name })),
    components: {
      securitySchemes: {
        bearer: { type: 'http', scheme: 'bearer', description: '`sk-tg-…`, or a short-lived token' },
        apiKey: { type: 'apiKey', in: 'header', name: 'x-api-key' },
      },
    },
    paths: paths(origin),
  });
}

/** The text, made once for each origin: an isolate has one. */
const texts = new Map<string, string>();

export function getOpenApi(c: ApiContext): Response {
  const { publicOrigin } = config(c.env);
  const text = texts.get(publicOrigin) ?? JSON.stringify(openApiDocument(publicOrigin));
  texts.set(publicOrigin, text);
  return c.body(text, 200, {
    'content-type': 'application/json; charset=utf-8',
    'access-control-allow-origin': '*',
    'cache-control': 'public, max-age=300',
  });
}
