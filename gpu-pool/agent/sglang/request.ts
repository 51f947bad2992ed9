/** Translates a GenerateRequest for SGLang, field by field, so that no other field can ever reach the engine. */
import type { GenerateRequest, RequestClaims } from '../../protocol/schemas.ts';
import type { AnswerFormat } from '../parse/answer-parser.ts';
import type { ParserNames } from '../parse/formats.ts';
import { grammarOf, wantsJson } from './answer-format.ts';

const CHAT_PATH = '/v1/chat/completions';
const COMPLETIONS_PATH = '/v1/completions';
export const ABORT_PATH = '/abort_request';
const PROMPT_PASS = 'prompt-';

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

/** How the engine is to send the answer. */
export interface Wanted {
  /** Null: taken apart by the engine's own parsers; else as raw text. */
  format: AnswerFormat | null;
  /** The prompt as tokens, where the engine must not know of the request's tools; null: the messages are the prompt. */
  promptIds: readonly number[] | null;
  /** Tokens of each thought, where the engine is to keep their budget. */
  engineBudget: number | null;
}

/** `modelPath` is the engine's own model name: SGLang reads `name:adapter` in `model` as a LoRA choice. */
export function toEngineRequest(
  request: GenerateRequest,
  { rid, modelPath, wanted }: { rid: string; modelPath: string; wanted: Wanted },
): EngineRequest {
  const choices = request.n ?? 1;
  const specificFields = request.prompt === undefined ? chatFields(request, wanted) : textFields(request);
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
      logit_bias: request.logit_bias,
      min_tokens: minTokens(request),
      n: request.n,
      seed: request.seed,
      stream: true,
      stream_options: { include_usage: true, continuous_usage_stats: true },
      rid,
      priority: request.background ? PRIORITY.background : PRIORITY.interactive,
      cache_salt: request.cache_salt,
    },
  };
}

/** The id of a request's pass over the prompt: not the request's own as a prefix, or an abort of that would match it. */
export const promptPassId = (requestId: string): string => `${PROMPT_PASS}${requestId}`;

/** Whether the engine knows a pass over a prompt by this id. */
export const isPromptPassId = (rid: string): boolean => rid.startsWith(PROMPT_PASS);

/**
 * A pass over the prompt of a request, whose answer counts how much of it was cached. SGLang makes such a pass of its own
 * before it begins several choices, and then reports the whole prompt as cached for each (tokenizer_manager.py,
 * `_handle_batch_request`). All that a chat template can look at stays as in the request, or the prompt would be another.
 */
export function toPromptPass(
  request: GenerateRequest,
  { rid, modelPath, wanted }: { rid: string; modelPath: string; wanted: Wanted },
): EngineRequest {
  // SGLang takes 0 tokens for none given.
  const short = {
    ...request,
    n: 1,
    max_tokens: 1,
    min_tokens: undefined,
    logprobs: undefined,
    top_logprobs: undefined,
  };
  const { body, ...rest } = toEngineRequest(short, {
    ...{ rid, modelPath },
    wanted: { ...wanted, engineBudget: null },
  });
  return { ...rest, body: { ...body, stream: false, stream_options: undefined } };
}

function chatFields(request: GenerateRequest, { format, promptIds, engineBudget }: Wanted) {
  return {
    ...(format !== null && promptIds !== null
      ? tokenFields(request, { parsers: format.parsers, promptIds })
      : messageFields(request)),
    logprobs: request.logprobs,
    top_logprobs: request.top_logprobs,
    chat_template_kwargs: request.template_variables,
    // It counts the tag that opens the thought, and works only in an engine that was started for it (probe.ts).
    custom_params: engineBudget === null ? undefined : { thinking_budget: engineBudget },
    separate_reasoning: format === null,
    stream_reasoning: true,
  };
}

function messageFields(request: GenerateRequest) {
  return {
    messages: request.messages,
    tools: request.tools,
    tool_choice: request.tool_choice,
    response_format: request.response_format,
  };
}

/**
 * A prompt that already has its tools, for an engine that would take the calls apart itself if it knew of them: its flag
 * decides that, and no field of a request does. What it would do for tools beside that is done here: it would keep special
 * tokens in the text, and make a grammar of them.
 */
function tokenFields(
  request: GenerateRequest,
  { parsers, promptIds }: { parsers: ParserNames; promptIds: readonly number[] },
) {
  return {
    // The engine wants a message, and takes the tokens in its place.
    messages: [{ role: 'user', content: '' }],
    input_ids: promptIds,
    skip_special_tokens: false,
    response_format: wantsJson(request) ? request.response_format : grammarOf(request, parsers),
  };
}

/** In text completions `logprobs` is the number of alternatives beside the chosen token. */
function textFields(request: GenerateRequest) {
  return { prompt: request.prompt, logprobs: request.logprobs ? (request.top_logprobs ?? 0) : undefined };
}

/** The engine refuses more than `max_tokens`, which context and claim may have lowered. */
function minTokens({ min_tokens: min, max_tokens: max }: GenerateRequest): number | undefined {
  return min === undefined ? undefined : Math.min(min, max);
}

/** The request's max_tokens as SGLang takes them: for each choice, while the claim covers all choices together. */
export function maxTokensPerChoice(request: GenerateRequest, claims: RequestClaims): number {
  const claimed = Math.max(1, Math.floor(claims.max_tokens / (request.n ?? 1)));
  return Math.min(request.max_tokens, claimed);
}
