/** Prompts and the engine's context: how many tokens a request has, and how SGLang refuses one that does not fit. */
import type { ModelProfile } from '../protocol/model-profile.ts';
import type { ReleaseTraits } from './release.ts';
import type { ChatRequest } from './request.ts';
import { BOS, renderChat, tokenize } from './tokenizer.ts';

/** How the emulated model thinks, as its profile says it. */
export type Thinking = Pick<ModelProfile['thinking'], 'mode' | 'byDefault' | 'variable'>;

/** Whether the model thinks about this request: as it always does, or as the chat template is told. Never about a raw text. */
export function reasons(request: ChatRequest, { thinking }: { thinking: Thinking }): boolean {
  const { mode, byDefault = false, variable = '' } = thinking;
  if (request.text !== null) return false;
  if (mode !== 'switchable') return mode === 'always';
  const asked = request.templateVariables[variable];
  return typeof asked === 'boolean' ? asked : byDefault;
}

/** Whether the engine looks for a thought: neither in a raw text, nor where the template was told to leave it out. */
export function looksForThought(request: ChatRequest, engine: { thinking: Thinking }): boolean {
  if (request.text !== null) return false;
  return engine.thinking.mode !== 'switchable' || reasons(request, engine);
}

export function promptTokens(
  request: ChatRequest,
  engine: { thinking: Thinking; traits: ReleaseTraits },
): string[] {
  if (request.text !== null) return [BOS, ...tokenize(request.text)];
  const { messages, rawTools: tools, continued } = request;
  const prompt = renderChat(messages, {
    tools,
    reasoning: reasons(request, engine),
    toolsAsWritten: engine.traits.toolsAsWritten,
  });
  return continued === null ? prompt : prompt.concat(tokenize(continued));
}

/** The longest prompt that the scheduler takes: six tokens of the context are kept back (tp_worker.py, scheduler.py). */
export function inputTokensMax(contextLength: number): number {
  return contextLength - 7;
}

/**
 * The message with which a request that cannot fit the context is refused; null where it fits. The tokenizer's refusal
 * has a status of its own (tokenizer_manager.py, `_validate_one_request`), the scheduler's comes as the end of a stream
 * that has begun (managers/utils.py, `validate_input_length`).
 */
export function contextError(
  prompt: number,
  { maxTokens, contextLength }: { maxTokens: number; contextLength: number },
): { message: string; by: 'tokenizer' | 'scheduler' } | null {
  if (prompt >= contextLength) {
    const message = `The input (${prompt} tokens) is longer than the model's context length (${contextLength} tokens).`;
    return { message, by: 'tokenizer' };
  }
  const total = prompt + maxTokens;
  if (Number.isFinite(maxTokens) && total > contextLength) {
    const message =
      `Requested token count exceeds the model's maximum context length of ${contextLength} tokens. ` +
      `You requested a total of ${total} tokens: ${prompt} tokens from the input messages and ` +
      `${maxTokens} tokens for the completion. Please reduce the number ` +
      'of tokens in the input messages or the completion to fit within the limit.';
    return { message, by: 'tokenizer' };
  }
  const most = inputTokensMax(contextLength);
  if (prompt <= most) return null;
  const message =
    `Input length (${prompt} tokens) exceeds the maximum allowed length (${most + 1} tokens). ` +
    'Use a shorter input or enable --allow-auto-truncate.';
  return { message, by: 'scheduler' };
}
