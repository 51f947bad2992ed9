/** Routes that count the tokens of a request before it is made. */
import type { ZodOpenApiPathsObject } from 'zod-openapi';
import { MessagesBody } from '../../gateway/dialects/anthropic-messages-request.ts';
import { ChatBody } from '../../gateway/dialects/openai-chat-request.ts';
import { ResponsesBody } from '../../gateway/dialects/openai-responses-request.ts';
import { type ErrorStatus, operation } from './operation.ts';
import * as responses from './responses.ts';
import { TAGS } from './shared.ts';

const ERRORS: readonly ErrorStatus[] = [400, 401, 403, 404, 413, 415, 429, 503];
const DESCRIPTION =
  'Exactly the prompt tokens that the request would have, counted by the model’s own tokenizer and chat template at a node. Free, and within limits of its own.';

export const countPaths: ZodOpenApiPathsObject = {
  '/v1/chat/completions/input_tokens': {
    post: operation({
      tag: TAGS.answers,
      summary: 'Count the tokens of a chat completion',
      description: DESCRIPTION,
      body: ChatBody,
      response: responses.InputTokens,
      errors: ERRORS,
    }),
  },
  '/v1/responses/input_tokens': {
    post: operation({
      tag: TAGS.answers,
      summary: 'Count the tokens of a response',
      description: `${DESCRIPTION} \`input\` may be left out beside \`previous_response_id\`.`,
      body: ResponsesBody.partial({ input: true }),
      response: responses.InputTokens,
      errors: ERRORS,
    }),
  },
  '/anthropic/v1/messages/count_tokens': {
    post: operation({
      tag: TAGS.answers,
      summary: 'Count the tokens of a message',
      description: `${DESCRIPTION} Also available at \`/v1/messages/count_tokens\`.`,
      body: MessagesBody.partial({ max_tokens: true }),
      response: responses.MessageTokens,
      errors: ERRORS,
      errorSchema: responses.AnthropicError,
      security: ['apiKey', 'bearer'],
    }),
  },
};
