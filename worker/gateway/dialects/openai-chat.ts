/** OpenAI's chat completions, with DeepSeek's reasoning beside the content. */
import type { Dialect } from './dialect.ts';
import { ChatEvents, WholeChat } from './openai-chat-answer.ts';
import { readChatRequest } from './openai-chat-request.ts';

export const openaiChat: Dialect = {
  read(body, headers) {
    const read = readChatRequest(body, headers);
    if (!read.ok) return read;
    const { request, includeUsage } = read;
    const { choices } = request;
    return {
      ok: true,
      dialectRequest: {
        request,
        events: (head) => new ChatEvents(head, { choices, includeUsage }),
        whole: (head) => new WholeChat(head, { choices }),
      },
    };
  },
  errorBody: (envelope) => envelope,
};
