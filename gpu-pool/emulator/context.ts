/** Prompts and the engine's context: how many tokens a request has, and how SGLang refuses one that does not fit. */
import type { ChatRequest } from './request.ts';
import { BOS, renderChat, tokenize } from './tokenizer.ts';

/** V3 answers at once and R1 thinks first; neither thinks about a raw text prompt. */
export function reasons(request: ChatRequest, { modelPath }: { modelPath: string }): boolean {
  return request.text === null && !/v3/i.test(modelPath);
}

export function promptTokens(request: ChatRequest, engine: { modelPath: string }): string[] {
  if (request.text !== null) return [BOS, ...tokenize(request.text)];
  const { messages, rawTools: tools, continued } = request;
  const prompt = renderChat(messages, { tools, reasoning: reasons(request, engine) });
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
