/**
 * Keeps a request within the model's published context before the engine works on it. The bytes of most prompts show
 * that they fit. A prompt that may be too long is counted by the engine's tokenizer first: the engine's own limit is no
 * substitute, because it is that of prompt and answer together and lies higher.
 */
import { CONTEXT_RESERVE, longestPrompt } from '../protocol/constants.ts';
import type { GenerateRequest, RequestClaims } from '../protocol/schemas.ts';
import type { Engine } from './engine-client.ts';
import type { RequestError } from './request-error.ts';
import { countPrompt } from './sglang/tokenize.ts';

export interface EngineContext {
  readonly engine: Engine;
  readonly modelPath: string;
  /** The tokens that the engine has for prompt and answer together; null: not known. */
  readonly roomTokens: number | null;
}

/**
 * Fits a request into the context: refuses a prompt that is too long, and lets the answer end where the engine's context
 * does.
 * @param request its `max_tokens` are those of one choice
 * @param promptTokens how many tokens the prompt has; null: not known yet
 * @returns the `max_tokens` of one choice that the engine is to be asked for
 */
export async function fitContext(
  { engine, modelPath, roomTokens: engineTokens }: EngineContext,
  request: GenerateRequest,
  { context_tokens: promptMax, prompt_tokens_max: bound }: RequestClaims,
  promptTokens: number | null,
): Promise<{ maxTokens: number } | RequestError> {
  const { max_tokens: maxTokens } = request;
  // An edge of an older version names no context, and leaves it to the engine.
  if (promptMax === undefined) return { maxTokens };
  const roomTokens = engineTokens === null ? Number.POSITIVE_INFINITY : engineTokens - CONTEXT_RESERVE;
  if (bound !== undefined && bound <= promptMax && bound + maxTokens <= roomTokens) return { maxTokens };
  const counted = promptTokens ?? (await countPrompt(engine, request, modelPath));
  // The engine then judges the request itself, and its first usage is compared with the context all the same.
  if (counted === null) return { maxTokens };
  const longest = Math.min(promptMax, roomTokens - 1);
  return counted > longest
    ? contextExceeded(counted, longest)
    : { maxTokens: Math.min(maxTokens, roomTokens - counted) };
}

/**
 * The error of a request for a model whose longest prompts this engine does not take: the node must not serve the model at
 * all, and another one may serve the request. Null where it takes them, or where that is not known.
 */
export function contextTooShort(
  roomTokens: number | null,
  { context_tokens: sold }: Pick<RequestClaims, 'context_tokens'>,
): RequestError | null {
  if (roomTokens === null || sold === undefined) return null;
  const longest = Math.max(0, longestPrompt(roomTokens));
  if (longest >= sold) return null;
  return {
    code: 'engine_failed',
    message: `This node’s engine takes prompts of ${longest} tokens, and ${sold} are sold.`,
    context: { prompt_tokens: sold, context_tokens: longest },
  };
}

export function contextExceeded(promptTokens: number, contextTokens: number): RequestError {
  return {
    code: 'bad_request',
    message: `The prompt has ${promptTokens} tokens and may have ${contextTokens}.`,
    context: { prompt_tokens: promptTokens, context_tokens: contextTokens },
  };
}
