/** The dialect of Anthropic's Messages API. */

import { anthropicError, MessageEvents, WholeMessage } from './anthropic-messages-answer.ts';
import { readMessagesRequest } from './anthropic-messages-request.ts';
import type { Dialect } from './dialect.ts';
import { messagesWords } from './error-words.ts';

export const anthropicMessages: Dialect = {
  read(body, headers) {
    const parsed = readMessagesRequest(body, headers);
    if (!parsed.ok) return parsed;
    return {
      ok: true,
      dialectRequest: {
        request: parsed.request,
        events: (head) => new MessageEvents(head),
        whole: (head) => new WholeMessage(head),
      },
    };
  },
  words: messagesWords,
  errorBody: ({ error }, requestId) => ({
    type: 'error',
    error: anthropicError(error),
    request_id: requestId,
  }),
};
