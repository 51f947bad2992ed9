/** The body of `POST /v1/generate`. What is rendered was written when it was read and may be long; the rest is short. */
import type { GenerateRequest } from '../../../gpu-pool/protocol/schemas.ts';
import type { ChatRequest } from '../dialects/chat-request.ts';

export function nodeBody(
  { generate, rendered }: Pick<ChatRequest, 'generate' | 'rendered'>,
  more: Pick<GenerateRequest, 'max_tokens' | 'cache_salt' | 'background'>,
): string {
  const { messages: _messages, prompt: _prompt, tools: _tools, ...rest } = generate;
  return `{${rendered},${JSON.stringify({ ...rest, ...more }).slice(1)}`;
}
