/** The dialect of OpenAI's chat completions, with DeepSeek's `reasoning_content` beside the content. */
import type { Dialect } from './dialect.ts';
import { CHAT_PARTS, ChatBody, readChatRequest } from './openai-chat-request.ts';
import { readableDialect } from './readable-dialect.ts';

const dialect: Dialect = {
  read(body, headers) {
    const parsed = readChatRequest(body, headers);
    if (!parsed.ok) return parsed;
    const { request, includeUsage, tools, isLegacy } = parsed;
    const custom = [...tools.forms].filter(([, { kind }]) => kind === 'custom').map(([name]) => name);
    const form = {
      dialect: 'chat' as const,
      ...(includeUsage && { include_usage: true as const }),
      ...(custom.length > 0 && { custom_tools: custom }),
      ...(isLegacy && { legacy_calls: true as const }),
    };
    return { ok: true, dialectRequest: { request, form } };
  },
  errorBody: (envelope) => envelope,
};

export const openaiChat = readableDialect(dialect, { schema: ChatBody, parts: CHAT_PARTS });
