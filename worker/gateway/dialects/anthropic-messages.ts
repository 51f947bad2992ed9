/** The dialect of Anthropic's Messages API. */

import { anthropicError } from '../../../gpu-pool/answers/messages.ts';
import { MESSAGES_PARTS, MessagesBody, readMessagesRequest } from './anthropic-messages-request.ts';
import type { Dialect } from './dialect.ts';
import { messagesWords } from './error-words.ts';
import { readableDialect } from './readable-dialect.ts';

const dialect: Dialect = {
  read(body, headers) {
    const parsed = readMessagesRequest(body, headers);
    if (!parsed.ok) return parsed;
    return { ok: true, dialectRequest: { request: parsed.request, form: { dialect: 'messages' } } };
  },
  words: messagesWords,
  errorBody: ({ error }, requestId) => ({
    type: 'error',
    error: anthropicError(error),
    request_id: requestId,
  }),
};

export const anthropicMessages = readableDialect(dialect, { schema: MessagesBody, parts: MESSAGES_PARTS });
