/** Routes that ask a model for an answer, one per dialect. */

import type { ZodOpenApiPathsObject } from 'zod-openapi';
import {
  SCHEMA_BOUNDS,
  SCHEMA_DEPTH_MAX,
  STOP_BYTES_MAX,
  STOPS_MAX,
  TOOLS_BOUNDS,
} from '../../domain/grammar.ts';
import { examples } from '../../examples/examples.ts';
import { MessagesBody } from '../../gateway/dialects/anthropic-messages-request.ts';
import { ChatBody } from '../../gateway/dialects/openai-chat-request.ts';
import { CompletionsBody } from '../../gateway/dialects/openai-completions.ts';
import { ResponsesBody } from '../../gateway/dialects/openai-responses-request.ts';
import { INFERENCE_ERRORS, operation } from './operation.ts';
import * as responses from './responses.ts';
import { TAGS } from './shared.ts';

const EVENTS = 'Server-sent events, with `stream: true`';
const QUESTION = 'How many primes are below 100?';

/** The bounds of the fields of every dialect, from the rules that refuse them. */
const LIMITS = `Limits: ${STOPS_MAX} stop sequences of ${STOP_BYTES_MAX} bytes each; a JSON schema of ${SCHEMA_BOUNDS.bytes >> 10} KiB, ${SCHEMA_DEPTH_MAX} levels and ${SCHEMA_BOUNDS.values} values; all tools together ${TOOLS_BOUNDS.bytes >> 10} KiB; lengths, counts and patterns of schemas that come to ${SCHEMA_BOUNDS.repetition}.`;
const IGNORED =
  'Fields that have no effect are never forwarded; `tollgate.ignored` of the answer and the header `x-tollgate-ignored` name them.';
const REASONING =
  'Reasoning is steered by `reasoning_effort`, `reasoning`, `thinking`, `output_config.effort`, `enable_thinking` or `thinking_budget`, which mean the same on every route: a demand that the model cannot meet is refused, a hint that it has no use for is ignored.';
const PARTS =
  'Models here read text only: of an image, a sound or a file in a message or a tool’s result they get a note of what was left out, and text in other forms, such as a text document, is passed on. null means absent for every optional field.';
const TOOLS =
  'The client runs the tools. Free-form tools and namespaces are translated to functions and back; hosted tools and tools of unknown types are set aside.';
const CONTROL_TOKENS =
  'Control tokens of the model’s chat template that are written in a text, such as `<think>`, are broken by an invisible U+2060, so that they count as text.';

/**
 * @param origin of this edge, which the code samples call
 * @param modelId that examples ask for
 */
export function inferencePaths(origin: string, modelId: string): ZodOpenApiPathsObject {
  const messages = [{ role: 'user', content: QUESTION }];
  const snippets = examples({ baseUrl: `${origin}/v1`, model: modelId, question: QUESTION, key: null });
  const samples = snippets.map(({ language, name, code }) => ({ lang: language, label: name, source: code }));
  return {
    '/v1/chat/completions': {
      post: operation({
        tag: TAGS.answers,
        summary: 'Chat completion',
        description:
          'Compatible with the chat APIs of OpenAI and DeepSeek, with and without streaming; also available at `/chat/completions` and `/beta/chat/completions`. Reasoning is returned in `reasoning_content`; whether that of earlier answers, sent back in the request, reaches the model depends on the model. An `Idempotency-Key` header makes retries safe: the same key and body return the same answer and are charged once.' +
          ` ${REASONING} ${IGNORED} ${PARTS} ${TOOLS} ${LIMITS} ${CONTROL_TOKENS}`,
        body: ChatBody,
        bodyExample: { model: modelId, messages },
        response: responses.ChatCompletion,
        alternative: [
          'text/event-stream',
          `${EVENTS}: chunks, then \`data: [DONE]\`. Usage is in the last chunk.`,
        ],
        isAnswer: true,
        errors: INFERENCE_ERRORS,
        samples,
      }),
    },
    '/v1/responses': {
      post: operation({
        tag: TAGS.answers,
        summary: 'Response',
        description:
          'Compatible with OpenAI’s Responses. Reasoning is returned as items. Unless `store` is false, the response is kept for 30 days, encrypted under a key made of its id: name it in `previous_response_id`, or its items as `{"type": "item_reference", "id": …}` in `input`, and only what is new needs to be sent. What is brought in that way counts as prompt.' +
          ` ${REASONING} ${IGNORED} ${PARTS} ${TOOLS} ${LIMITS} ${CONTROL_TOKENS}`,
        body: ResponsesBody,
        bodyExample: { model: modelId, input: QUESTION },
        response: responses.ResponseObject,
        alternative: ['text/event-stream', `${EVENTS}: typed events up to \`response.completed\`.`],
        isAnswer: true,
        errors: INFERENCE_ERRORS,
      }),
    },
    '/anthropic/v1/messages': {
      post: operation({
        tag: TAGS.answers,
        summary: 'Message',
        description:
          'Compatible with Anthropic’s Messages; also available at `/v1/messages`. Reasoning is returned as `thinking` blocks. The base URL for Anthropic’s clients ends in `/anthropic`.' +
          ` ${REASONING} ${IGNORED} ${PARTS} ${TOOLS} ${LIMITS} ${CONTROL_TOKENS}`,
        body: MessagesBody,
        bodyExample: { model: modelId, max_tokens: 4_096, messages },
        response: responses.Message,
        alternative: [
          'text/event-stream',
          `${EVENTS}: typed events from \`message_start\` to \`message_stop\`.`,
        ],
        isAnswer: true,
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
          'Continues a text, without a chat template; also available at `/completions` and `/beta/completions`. Fill-in-the-middle is not supported. Control tokens in the prompt reach the model as such: put no text of strangers into it unchecked.' +
          ` ${IGNORED} ${LIMITS}`,
        body: CompletionsBody,
        bodyExample: { model: modelId, prompt: 'Once upon a time', max_tokens: 64 },
        response: responses.TextCompletion,
        alternative: ['text/event-stream', `${EVENTS}: completion chunks, then \`data: [DONE]\`.`],
        isAnswer: true,
        errors: INFERENCE_ERRORS,
      }),
    },
  };
}
