/** The settings as they were typed, and the request that they make. */
import type { ChatBody, ChatMessage, ResponseFormat } from './ask.ts';
import type { Exchange } from './exchange.ts';
import { parsed } from './schema-notes.ts';

export interface Settings {
  readonly model: string;
  readonly system: string;
  /** empty: the model's default */
  readonly maxTokens: string;
  /** empty: the model's default */
  readonly temperature: string;
  /** A JSON schema of the answer; blank: the answer is free text. */
  readonly schema: string;
  readonly keyId: string;
}

/** The body of a request. Earlier reasoning is not sent, as models must not see it; unanswered questions are left out. */
export function bodyFor(settings: Settings, past: readonly Exchange[], question: string): ChatBody {
  const { model, system, maxTokens, temperature, schema } = settings;
  const messages: ChatMessage[] = [];
  if (system.trim() !== '') messages.push({ role: 'system', content: system });
  for (const { question, answer } of past) {
    if (answer === '') continue;
    messages.push({ role: 'user', content: question }, { role: 'assistant', content: answer });
  }
  messages.push({ role: 'user', content: question });
  return {
    model,
    messages,
    ...(maxTokens === '' ? {} : { max_tokens: Number(maxTokens) }),
    ...(temperature === '' ? {} : { temperature: Number(temperature) }),
    ...(schema.trim() === '' ? {} : { response_format: formatOf(schema) }),
  };
}

/** Text that is no JSON goes as it is: the API refuses it and says why, which costs nothing; left out, the answer would cost. */
function formatOf(schema: string): ResponseFormat {
  return { type: 'json_schema', json_schema: { name: 'answer', schema: parsed(schema) ?? schema } };
}
