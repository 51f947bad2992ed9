/** Reads bodies as each dialect does, without a Worker around it. */
import { anthropicMessages } from '../../../../worker/gateway/dialects/anthropic-messages.ts';
import type { Dialect } from '../../../../worker/gateway/dialects/dialect.ts';
import { openaiChat } from '../../../../worker/gateway/dialects/openai-chat.ts';
import { openaiCompletions } from '../../../../worker/gateway/dialects/openai-completions.ts';
import { openaiResponses } from '../../../../worker/gateway/dialects/openai-responses.ts';

export const DIALECTS = {
  chat: openaiChat,
  completions: openaiCompletions,
  responses: openaiResponses,
  messages: anthropicMessages,
} satisfies Record<string, Dialect>;
export type Name = keyof typeof DIALECTS;

/** The fields that a body of the dialect needs beside its conversation. */
const REQUIRED: Record<Name, object> = {
  chat: { model: 'm' },
  completions: { model: 'm' },
  responses: { model: 'm' },
  messages: { model: 'm', max_tokens: 10 },
};

export function read(name: Name, body: object) {
  const result = DIALECTS[name].read({ ...REQUIRED[name], ...body }, new Headers());
  if (result.ok) return { ok: true, ...result.dialectRequest } as const;
  return result;
}

/** The messages that the node is sent of a body, or its error as text. */
export function messagesOf(name: Name, body: object) {
  const result = read(name, body);
  return result.ok ? result.request.generate.messages : JSON.stringify(result.error);
}
