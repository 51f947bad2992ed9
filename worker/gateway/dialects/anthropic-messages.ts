/** Anthropic's Messages. */

import { anthropicError, MessageEvents, WholeMessage } from './anthropic-messages-answer.ts';
import { readMessagesRequest } from './anthropic-messages-request.ts';
import type { Dialect } from './dialect.ts';

export const anthropicMessages: Dialect = {
  read(body, headers) {
    const read = readMessagesRequest(body, headers);
    if (!read.ok) return read;
    return {
      ok: true,
      dialectRequest: {
        request: read.request,
        events: (head) => new MessageEvents(head),
        whole: (head) => new WholeMessage(head),
      },
    };
  },
  errorBody: ({ error }, requestId) => ({
    type: 'error',
    error: anthropicError(error),
    request_id: requestId,
  }),
};
