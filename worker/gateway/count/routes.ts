/** The handlers of the routes that count tokens, one for each dialect that has a chat. */
import { config } from '../../env.ts';
import { errorResponse } from '../../http/api-error.ts';
import type { ApiContext } from '../../http/response-headers.ts';
import { dialects } from '../dialects/index.ts';
import { openTurn } from '../stored-responses/open.ts';
import { countTokens } from './count-tokens.ts';
import { endedChat, endedMessages, endedResponse } from './ended-conversation.ts';

/** A count has no answer that could be cut off, and `max_tokens` bounds a budget of thought. */
const MAX_TOKENS = 65_536;

/** POST /v1/messages/count_tokens, in Anthropic's form. */
export function countMessages(c: ApiContext): Promise<Response> {
  return countTokens(c, {
    loadDialect: dialects.anthropicMessages,
    openTurn: null,
    ended: endedMessages,
    complete: (body) => ({ max_tokens: MAX_TOKENS, ...withoutStream(body) }),
    answer: (promptTokens) => ({ input_tokens: promptTokens }),
  });
}

/** POST under /v1/responses: the count, and no other. */
export function postUnderResponses(c: ApiContext): Promise<Response> | Response {
  if (c.req.param('id') === 'input_tokens') return countResponse(c);
  const error = { reason: 'method_not_allowed', allowed: ['GET', 'HEAD', 'DELETE', 'OPTIONS'] } as const;
  return errorResponse(error, config(c.env).publicOrigin);
}

/** In OpenAI's form. */
function countResponse(c: ApiContext): Promise<Response> {
  return countTokens(c, {
    loadDialect: dialects.openaiResponses,
    openTurn,
    ended: endedResponse,
    complete: (body) => ({ ...withoutStream(body), input: body.input ?? [], store: false }),
    answer: (promptTokens) => ({ object: 'response.input_tokens', input_tokens: promptTokens }),
  });
}

/** POST /v1/chat/completions/input_tokens: OpenAI has no such route, so its form is that of Responses. */
export function countChat(c: ApiContext): Promise<Response> {
  return countTokens(c, {
    loadDialect: dialects.openaiChat,
    openTurn: null,
    ended: endedChat,
    complete: withoutStream,
    answer: (promptTokens) => ({ object: 'chat.completion.input_tokens', input_tokens: promptTokens }),
  });
}

function withoutStream({ stream: _, stream_options: __, ...body }: Record<string, unknown>) {
  return body;
}
