/** The dialect of OpenAI's chat completions, with DeepSeek's `reasoning_content` beside the content. */
import type { Dialect } from './dialect.ts';
import { ChatEvents, WholeChat } from './openai-chat-answer.ts';
import { CHAT_PARTS, ChatBody, readChatRequest } from './openai-chat-request.ts';
import { readableDialect } from './readable-dialect.ts';

const dialect: Dialect = {
  read(body, headers) {
    const parsed = readChatRequest(body, headers);
    if (!parsed.ok) return parsed;
    const { request, includeUsage, tools, isLegacy } = parsed;
    const calls = { forms: tools.forms, isLegacy };
    const { choices } = request;
    return {
      ok: true,
      dialectRequest: {
        request,
        events: (head) => new ChatEvents(head, { choices, includeUsage, calls }),
        whole: (head) => new WholeChat(head, { choices, calls }),
      },
    };
  },
  errorBody: (envelope) => envelope,
};

export const openaiChat = readableDialect(dialect, { schema: ChatBody, parts: CHAT_PARTS });
