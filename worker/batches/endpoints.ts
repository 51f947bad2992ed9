/** What a batch can ask for: the routes that answer, each with its dialect. */
import type { Dialect } from '../gateway/dialect.ts';
import { openaiChat } from '../gateway/dialects/openai-chat.ts';
import { openaiCompletions } from '../gateway/dialects/openai-completions.ts';
import { openaiResponses } from '../gateway/dialects/openai-responses.ts';

export const BATCH_ENDPOINTS = ['/v1/chat/completions', '/v1/completions', '/v1/responses'] as const;
export type BatchEndpoint = (typeof BATCH_ENDPOINTS)[number];

export const DIALECTS: Record<BatchEndpoint, Dialect> = {
  '/v1/chat/completions': openaiChat,
  '/v1/completions': openaiCompletions,
  '/v1/responses': openaiResponses,
};
