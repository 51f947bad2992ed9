/** Routes that ask a model for an answer, one per dialect. */
import type { ZodOpenApiPathsObject } from 'zod-openapi';
import { examples } from '../../examples/examples.ts';
import { MessagesBody } from '../../gateway/dialects/anthropic-messages-request.ts';
import { ChatBody } from '../../gateway/dialects/openai-chat-request.ts';
import { CompletionsBody } from '../../gateway/dialects/openai-completions.ts';
import { ResponsesBody } from '../../gateway/dialects/openai-responses-request.ts';
import { INFERENCE_ERRORS, operation } from './operation.ts';
import * as responses from './responses.ts';
import { MODEL, TAGS } from './shared.ts';

const EVENTS = 'Server-sent events, with `stream: true`';
const QUESTION = 'How many primes are below 100?';

/** @param origin of this edge, which the code samples call */
export function inferencePaths(origin: string): ZodOpenApiPathsObject {
  const messages = [{ role: 'user', content: QUESTION }];
  const snippets = examples({ baseUrl: `${origin}/v1`, model: MODEL, question: QUESTION, key: null });
  const samples = snippets.map(({ language, name, code }) => ({ lang: language, label: name, source: code }));
  return {
    '/v1/chat/completions': {
      post: operation({
        tag: TAGS.answers,
        summary: 'Chat completion',
        description:
          'OpenAI’s and DeepSeek’s chat, streamed and not; also at `/chat/completions` and `/beta/chat/completions`. Reasoning comes in `reasoning_content`; `reasoning_content` that is sent back is dropped. Unknown fields are ignored and never forwarded. `Idempotency-Key` makes a retry safe: the same key and body give the same answer and one charge.',
        body: ChatBody,
        bodyExample: { model: MODEL, messages },
        response: responses.ChatCompletion,
        alternative: [
          'text/event-stream',
          `${EVENTS}: chunks, then \`data: [DONE]\`. Usage is in the last chunk.`,
        ],
        errors: INFERENCE_ERRORS,
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
        bodyExample: { model: MODEL, input: QUESTION },
        response: responses.ResponseObject,
        alternative: ['text/event-stream', `${EVENTS}: typed events up to \`response.completed\`.`],
        errors: INFERENCE_ERRORS,
      }),
    },
    '/anthropic/v1/messages': {
      post: operation({
        tag: TAGS.answers,
        summary: 'Message',
        description:
          'Anthropic’s Messages; also at `/v1/messages`. Reasoning comes as `thinking` blocks. The base URL for Anthropic’s clients ends in `/anthropic`.',
        body: MessagesBody,
        bodyExample: { model: MODEL, max_tokens: 4_096, messages },
        response: responses.Message,
        alternative: [
          'text/event-stream',
          `${EVENTS}: typed events from \`message_start\` to \`message_stop\`.`,
        ],
        errors: INFERENCE_ERRORS,
        errorSchema: responses.AnthropicError,
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
        response: responses.TextCompletion,
        alternative: ['text/event-stream', `${EVENTS}: completions in parts, then \`data: [DONE]\`.`],
        errors: INFERENCE_ERRORS,
      }),
    },
  };
}
