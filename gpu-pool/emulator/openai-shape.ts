/**
 * The JSON that SGLang puts on the wire, quirks included. References are to SGLang's
 * python/sglang/srt/entrypoints/openai/.
 */
import type { TokenCounts } from './engine-request.ts';
import type { Finish, PlannedToken, ToolDelta } from './plan.ts';
import { createRandom } from './random.ts';

export interface Usage {
  prompt_tokens: number;
  total_tokens: number;
  completion_tokens: number;
  prompt_tokens_details: { cached_tokens: number } | null;
  reasoning_tokens: number;
}

export function usageOf(counts: TokenCounts, { cacheReport }: { cacheReport: boolean }): Usage {
  return {
    prompt_tokens: counts.promptTokens,
    total_tokens: counts.promptTokens + counts.completionTokens,
    completion_tokens: counts.completionTokens,
    // Null without --enable-cache-report, and also when nothing was cached (usage_processor.py).
    prompt_tokens_details:
      cacheReport && counts.cachedTokens > 0 ? { cached_tokens: counts.cachedTokens } : null,
    // SGLang puts this at the top level, OpenAI into completion_tokens_details (protocol.py, UsageInfo).
    reasoning_tokens: counts.reasoningTokens,
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
  }: {
    index: number;
    delta: Delta;
    finish?: { reason: string; matched: string | number | null } | null;
    logprobs?: unknown;
    usage?: Usage;
  },
) {
  return {
    ...chunkHead(envelope, index),
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
 * A chunk with a tool call, which goes through pydantic instead, so its nulls are written out (serving_chat.py).
 */
export function toolChunk(
  envelope: Envelope,
  { index, tool, usage }: { index: number; tool: ToolDelta; usage?: Usage },
) {
  const { id, name } = tool;
  const call = { id, index: tool.index, type: 'function', function: { name, arguments: tool.arguments } };
  const delta = { role: null, content: null, reasoning_content: null, tool_calls: [call] };
  return {
    ...chunkHead(envelope, index),
    choices: [{ index, delta, logprobs: null, finish_reason: null, matched_stop: null }],
    usage: usage ?? null,
  };
}

/** The last chunk, with usage summed over the choices. */
export function usageChunk(envelope: Envelope, usage: Usage) {
  return { ...chunkHead(envelope, envelope.ids.length - 1), choices: [], usage };
}

function chunkHead({ ids, created, model }: Envelope, choice: number) {
  return { id: ids[choice], object: 'chat.completion.chunk', created, model };
}

export interface FinishedChoice {
  content: string;
  reasoning: string | null;
  tools: ToolDelta[];
  finish: Finish;
  logprobs: unknown;
}

export function chatCompletion(
  envelope: Envelope,
  { choices, usage, weightVersion }: { choices: FinishedChoice[]; usage: Usage; weightVersion: string },
) {
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
        tool_calls: choice.tools.length > 0 ? choice.tools.map(wholeCall) : null,
      },
      logprobs: choice.logprobs,
      finish_reason: finishReason(choice.finish, choice.tools.length > 0),
      matched_stop: choice.finish.matched,
    })),
    usage,
    // A field that only SGLang has (protocol.py, ChatCompletionResponse.metadata).
    metadata: { weight_version: weightVersion },
  };
}

function wholeCall({ id, index, name, arguments: text }: ToolDelta) {
  return { id, index, type: 'function', function: { name, arguments: text } };
}

/**
 * The finish reason on the wire: a natural end after tool calls is called tool_calls, and "abort" goes out as it is
 * (serving_chat.py).
 */
export function finishReason(finish: Finish, calledTools: boolean): string {
  return calledTools && finish.type === 'stop' ? 'tool_calls' : finish.type;
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
  const entry = (text: string, logprob: number) => ({ token: text, bytes: [...Buffer.from(text)], logprob });
  const logprob = -random() / 4;
  const rest = Array.from({ length: Math.max(0, topCount - 1) }, (_, at) =>
    entry(` ${at}`, logprob - 1 - at),
  );
  return {
    ...entry(token.text, logprob),
    top_logprobs: topCount > 0 ? [entry(token.text, logprob), ...rest] : [],
  };
}
