/** The settings as they were typed, and the request that they make. */
import type { ChatBody, ChatMessage } from './ask.ts';
import type { Exchange } from './exchange.ts';

export interface Settings {
  readonly model: string;
  readonly system: string;
  /** empty: the model's default */
  readonly maxTokens: string;
  /** empty: the model's default */
  readonly temperature: string;
  readonly keyId: string;
}

/** The body of a request. Earlier reasoning is not sent, as models must not see it; unanswered questions are left out. */
export function bodyFor(settings: Settings, past: readonly Exchange[], question: string): ChatBody {
  const { model, system, maxTokens, temperature } = settings;
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
  };
}
