/** Translates a GenerateRequest for SGLang, field by field, so that no other field can ever reach the engine. */
import type { GenerateRequest, RequestClaims } from '../../protocol/schemas.ts';

const CHAT_PATH = '/v1/chat/completions';
const COMPLETIONS_PATH = '/v1/completions';
export const ABORT_PATH = '/abort_request';

/**
 * Scheduling priorities. The higher runs first, and preempts a running request if the difference is greater than
 * `--priority-scheduling-preemption-threshold`, which is 10 by default (schedule_policy.py, `preempt_to_schedule`). The
 * difference here leaves room for other thresholds; the agent checks that of its engine (faults.ts).
 */
export const PRIORITY = { interactive: 100, background: 0 } as const;

export interface EngineRequest {
  path: string;
  body: Record<string, unknown>;
  /** Answers wanted, each with a choice index of its own. */
  choices: number;
}

/** `modelPath` is the engine's own model name: SGLang reads `name:adapter` in `model` as a LoRA choice. */
export function toEngineRequest(
  request: GenerateRequest,
  { claims, modelPath }: { claims: RequestClaims; modelPath: string },
): EngineRequest {
  const choices = request.n ?? 1;
  const specificFields = request.prompt === undefined ? chatFields(request) : textFields(request);
  return {
    path: request.prompt === undefined ? CHAT_PATH : COMPLETIONS_PATH,
    choices,
    body: {
      ...specificFields,
      model: modelPath,
      max_tokens: request.max_tokens,
      temperature: request.temperature,
      top_p: request.top_p,
      presence_penalty: request.presence_penalty,
      frequency_penalty: request.frequency_penalty,
      top_k: request.top_k,
      min_p: request.min_p,
      repetition_penalty: request.repetition_penalty,
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
    chat_template_kwargs: request.template_variables,
    separate_reasoning: true,
    stream_reasoning: true,
  };
}

/** In text completions `logprobs` is the number of alternatives beside the chosen token. */
function textFields(request: GenerateRequest) {
  return { prompt: request.prompt, logprobs: request.logprobs ? (request.top_logprobs ?? 0) : undefined };
}

/** The request's max_tokens as SGLang takes them: for each choice, while the claim covers all choices together. */
export function maxTokensPerChoice(request: GenerateRequest, claims: RequestClaims): number {
  const claimed = Math.max(1, Math.floor(claims.max_tokens / (request.n ?? 1)));
  return Math.min(request.max_tokens, claimed);
}

/** Whether the answer has to be JSON, which the R1 parser may report as reasoning (sglang#4539). */
export function wantsJson(request: GenerateRequest): boolean {
  const type = request.response_format?.type;
  return type !== undefined && type !== 'text';
}
