/**
 * All dialects. Most requests use OpenAI's chat, which is loaded when an isolate starts; the module of any other dialect is
 * loaded by the first request that uses it.
 */
import type { Dialect } from './dialect.ts';
import { openaiChat } from './openai-chat.ts';

export const dialects = {
  openaiChat: async () => openaiChat,
  openaiCompletions: async () => (await import('./openai-completions.ts')).openaiCompletions,
  openaiResponses: async () => (await import('./openai-responses.ts')).openaiResponses,
  anthropicMessages: async () => (await import('./anthropic-messages.ts')).anthropicMessages,
} satisfies Record<string, () => Promise<Dialect>>;

export type DialectName = keyof typeof dialects;
