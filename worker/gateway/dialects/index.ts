/**
 * The dialects. Most requests speak chat, which is there when an isolate starts; the module of another is made for the first
 * request that speaks it.
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
