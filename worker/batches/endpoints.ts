/** The API routes that a batch's lines may name, each with the dialect that answers it. */
import type { Dialect } from '../gateway/dialects/dialect.ts';
import { type DialectName, dialects } from '../gateway/dialects/index.ts';

export const BATCH_ENDPOINTS = ['/v1/chat/completions', '/v1/completions', '/v1/responses'] as const;
export type BatchEndpoint = (typeof BATCH_ENDPOINTS)[number];

const DIALECT_NAMES: Record<BatchEndpoint, DialectName> = {
  '/v1/chat/completions': 'openaiChat',
  '/v1/completions': 'openaiCompletions',
  '/v1/responses': 'openaiResponses',
};

/** @param endpoint of a batch; it was checked when the batch was created */
export function dialectOf(endpoint: string): Promise<Dialect> {
  return dialects[DIALECT_NAMES[endpoint as BatchEndpoint]]();
}
