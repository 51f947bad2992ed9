/**
 * The JSON body of `POST /v1/generate`. The prompt fields may be long and were serialized when the client's body was
 * read, so that text is reused; only the short fields are serialized here.
 */
import type { GenerateRequest } from '../../../gpu-pool/protocol/schemas.ts';
import { type ModelRequest, RENDERED } from '../dialects/chat-request.ts';

const isRendered: ReadonlySet<string> = new Set(RENDERED);

export function nodeBody(
  { generate, rendered }: Pick<ModelRequest, 'generate' | 'rendered'>,
  more: Pick<GenerateRequest, 'max_tokens' | 'cache_salt' | 'background' | 'prompt_only'>,
): string {
  const rest: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(generate)) if (!isRendered.has(name)) rest[name] = value;
  Object.assign(rest, more);
  return `{${rendered},${JSON.stringify(rest).slice(1)}`;
}
