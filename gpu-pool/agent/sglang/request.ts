/** A GenerateRequest in SGLang's words. Field by field, so that nothing else can ever reach the engine. */
import type { GenerateRequest, RequestClaims } from '../../protocol/schemas.ts';

const CHAT_PATH = '/v1/chat/completions';
const COMPLETIONS_PATH = '/v1/completions';
export const ABORT_PATH = '/abort_request';

/**
 * The higher goes first, and takes the place of one that runs when it is higher by 10 or more
 * (`--priority-scheduling-preemption-threshold`). Ignored by an engine without `--enable-priority-scheduling`.
 */
const PRIORITY = { interactive: 10, background: 0 } as const;

export interface EngineRequest {
  path: string;
  body: Record<string, unknown>;
  /** answers wanted, each with its own choice index */
  choices: number;
}

/** `modelPath` is the engine's own name: SGLang reads `name:adapter` in `model` as a LoRA choice. */
export function toEngineRequest(
  request: GenerateRequest,
  { claims, modelPath }: { claims: RequestClaims; modelPath: string },
): EngineRequest {
  const choices = request.n ?? 1;
  // The claim covers all choices together, SGLang's max_tokens each one.
  const maxTokensPerChoice = Math.max(1, Math.floor(claims.max_tokens / choices));
  const specificFields = request.prompt === undefined ? chatFields(request) : textFields(request);
  return {
    path: request.prompt === undefined ? CHAT_PATH : COMPLETIONS_PATH,
    choices,
    body: {
      ...specificFields,
      model: modelPath,
      max_tokens: Math.min(request.max_tokens, maxTokensPerChoice),
      temperature: request.temperature,
      top_p: request.top_p,
      presence_penalty: request.presence_penalty,
      frequency_penalty: request.frequency_penalty,
      stop: request.stop,
      n: request.n,
      seed: request.seed,
      stream: true,
      stream_options: { include_usage: true, continuous_usage_stats: true },
      rid: claims.jti,
      priority: request.background ? PRIORITY.background : PRIORITY.interactive,
      cache_salt: request.cache_salt,
    },
  };
}

function chatFields(request: GenerateRequest) {
  return {
    messages: request.messages,
    logprobs: request.logprobs,
    top_logprobs: request.top_logprobs,
    tools: request.tools,
    tool_choice: request.tool_choice,
    response_format: request.response_format,
    separate_reasoning: true,
    stream_reasoning: true,
  };
}

/** Here `logprobs` is a number: of how many tokens beside the chosen one. */
function textFields(request: GenerateRequest) {
  return { prompt: request.prompt, logprobs: request.logprobs ? (request.top_logprobs ?? 0) : undefined };
}

/** Whether the answer has to be JSON, where the R1 parser may file it under reasoning (sglang#4539). */
export function wantsJson(request: GenerateRequest): boolean {
  const type = request.response_format?.type;
  return type !== undefined && type !== 'text';
}
