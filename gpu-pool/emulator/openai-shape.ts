/**
 * The JSON that SGLang puts on the wire, quirks included. References are to SGLang's
 * python/sglang/srt/entrypoints/openai/.
 */
import type { TokenCounts } from './engine-request.ts';
import type { Finish, PlannedToken } from './plan.ts';
import { createRandom } from './random.ts';
import type { ReleaseTraits } from './release.ts';
import { PART_OF_A_CHARACTER } from './tokenizer.ts';

export interface Usage {
  prompt_tokens: number;
  total_tokens: number;
  completion_tokens: number;
  prompt_tokens_details: { cached_tokens: number } | null;
  reasoning_tokens: number;
  completion_tokens_details?: { reasoning_tokens: number } | null;
}

/** The parts of a usage that depend on how the engine was started, and on its release. */
export interface UsageOptions {
  /** `--enable-cache-report`: whether usage names cached tokens. */
  cacheReport: boolean;
  traits: ReleaseTraits;
}

export function usageOf(counts: TokenCounts, { cacheReport, traits }: UsageOptions): Usage {
  const { promptTokens, cachedTokens, completionTokens, reasoningTokens } = counts;
  const details = reasoningTokens > 0 ? { reasoning_tokens: reasoningTokens } : null;
  return {
    prompt_tokens: promptTokens,
    total_tokens: promptTokens + completionTokens,
    completion_tokens: completionTokens,
    prompt_tokens_details:
      cacheReport && (cachedTokens > 0 || traits.cachedZero) ? { cached_tokens: cachedTokens } : null,
    // SGLang puts this at the top level, OpenAI into completion_tokens_details (protocol.py, UsageInfo).
    reasoning_tokens: reasoningTokens,
    ...(traits.completionDetails ? { completion_tokens_details: details } : {}),
  };
}

/** Fields that all chunks and answers of a request share. */
export interface Envelope {
  /** The id of each choice: of a single one the request's, of several one that the engine has made for each. */
  ids: readonly string[];
  /** Seconds since 1970. */
  created: number;
  /** Echoes the request's `model`, whatever it is. */
  model: string;
}

export interface Delta {
  role?: string;
  content?: string;
  reasoning?: string;
}

/** A chunk as sse_utils.py builds it: null members of the delta are left out, except reasoning_content. */
export function deltaChunk(
  envelope: Envelope,
  {
    index,
    delta,
    finish = null,
    logprobs = null,
    usage,
    idOf = index,
  }: {
    index: number;
    delta: Delta;
    finish?: { reason: string; matched: string | number | null } | null;
    logprobs?: unknown;
    usage?: Usage;
    /** The choice whose id the chunk has. */
    idOf?: number;
  },
) {
  return {
    ...chunkHead(envelope, idOf),
    choices: [
      {
        index,
        // Always present, null or text: OpenAI's SDK would raise on a missing attribute (sse_utils.py).
        delta: { reasoning_content: delta.reasoning ?? null, role: delta.role, content: delta.content },
        logprobs,
        finish_reason: finish?.reason ?? null,
        matched_stop: finish?.matched ?? null,
      },
    ],
    usage,
  };
}

/**
 * A chunk that has passed the parser of tools: it goes through pydantic, so its nulls are written out (serving_chat.py,
 * `_process_tool_call_stream`).
 */
export function parsedChunk(
  envelope: Envelope,
  {
    index,
    content,
    call,
    usage,
    traits,
  }: { index: number; content?: string; call?: WrittenCall; usage?: Usage; traits: ReleaseTraits },
) {
  const delta = {
    role: null,
    content: content ?? null,
    reasoning_content: null,
    ...(call ? { tool_calls: [writtenCall(call)] } : traits.toolCallsNull ? { tool_calls: null } : {}),
  };
  return {
    ...chunkHead(envelope, index),
    choices: [{ index, delta, logprobs: null, finish_reason: null, matched_stop: null }],
    usage: usage ?? null,
  };
}

/** The last chunk, with usage summed over the choices; its id is that of the choice that was heard last. */
export function usageChunk(envelope: Envelope, usage: Usage, choice = envelope.ids.length - 1) {
  return { ...chunkHead(envelope, choice), choices: [], usage };
}

function chunkHead({ ids, created, model }: Envelope, choice: number) {
  return { id: ids[choice], object: 'chat.completion.chunk', created, model };
}

export interface FinishedChoice {
  content: string;
  reasoning: string | null;
  calls: WrittenCall[];
  finish: Finish;
  logprobs: unknown;
}

/** A call, or a piece of one, with the id that only its first piece has. */
export interface WrittenCall {
  id: string | null;
  index: number;
  name: string | null;
  arguments: string;
}

export function chatCompletion(
  envelope: Envelope,
  {
    choices,
    usage,
    metadata,
    traits,
  }: { choices: FinishedChoice[]; usage: Usage; metadata: object; traits: ReleaseTraits },
) {
  const toolCalls = ({ calls }: FinishedChoice) => {
    if (calls.length > 0) return { tool_calls: calls.map(writtenCall) };
    return traits.toolCallsNull ? { tool_calls: null } : {};
  };
  return {
    id: envelope.ids[0],
    object: 'chat.completion',
    created: envelope.created,
    model: envelope.model,
    choices: choices.map((choice, index) => ({
      index,
      message: {
        role: 'assistant',
        content: choice.content,
        reasoning_content: choice.reasoning,
        ...toolCalls(choice),
      },
      logprobs: choice.logprobs,
      finish_reason: choice.finish.type,
      matched_stop: choice.finish.matched,
    })),
    usage,
    metadata,
  };
}

/** A field that only SGLang has: the version of the weights, and which tokens of the first choice are by which version. */
export function metadataOf(weightVersion: string, tokens: number): object {
  return {
    weight_version: weightVersion,
    weight_versions: [{ version: weightVersion, start: 0, end: tokens }],
  };
}

function writtenCall({ id, index, name, arguments: text }: WrittenCall) {
  return { id, index, type: 'function', function: { name, arguments: text } };
}

/** An error without OpenAI's `error` envelope (serving_base.py, create_error_response). */
export function flatError({ message, type, code }: { message: string; type: string; code: number }) {
  return { object: 'error', message, type, param: null, code };
}

/** The same error inside a stream, where it is wrapped (serving_base.py, create_streaming_error_response). */
export function streamError(error: { message: string; type: string; code: number }) {
  return { error: flatError(error) };
}

/** Log-probabilities of one token, invented but deterministic. */
export function logprobOf(token: PlannedToken, topCount: number) {
  const random = createRandom(token.text);
  const written = token.isPart ? PART_OF_A_CHARACTER : token.text;
  const entry = (text: string, logprob: number) => ({ token: text, bytes: [...Buffer.from(text)], logprob });
  const logprob = -random() / 4;
  const rest = Array.from({ length: Math.max(0, topCount - 1) }, (_, at) =>
    entry(` ${at}`, logprob - 1 - at),
  );
  return {
    ...entry(written, logprob),
    top_logprobs: topCount > 0 ? [entry(written, logprob), ...rest] : [],
  };
}
