/** Calls of the public API: one question with its streamed answer, and the bill of a request once it is settled. */
import { createParser } from 'eventsource-parser';
import { nanoUsd } from '../../../domain/money.ts';
import type { Bill } from './exchange.ts';
import { type ApiError, type Fault, faultOf } from './fault.ts';

export interface ChatMessage {
  readonly role: 'system' | 'user' | 'assistant';
  readonly content: string;
}

/** The part of a request's body that people choose. */
export interface ChatBody {
  readonly model: string;
  readonly messages: readonly ChatMessage[];
  readonly max_tokens?: number;
  readonly temperature?: number;
  readonly response_format?: ResponseFormat;
}

export interface ResponseFormat {
  readonly type: 'json_schema';
  /** `schema`: any JSON value, as typed; the API refuses what is no schema. */
  readonly json_schema: { readonly name: string; readonly schema: unknown };
}

interface Listener {
  /** The response's headers have arrived. */
  began(requestId: string | null): void;
  /** More text has arrived; either part may be empty. */
  grew(reasoning: string, answer: string): void;
  /** @param isCut the answer ended at a limit of tokens or money */
  ended(bill: Bill, isCut: boolean): void;
}

interface PublicUsage {
  prompt_tokens: number;
  completion_tokens: number;
  prompt_tokens_details: { cached_tokens: number };
  completion_tokens_details: { reasoning_tokens: number };
  cost_nano_usd: number;
}

interface Chunk {
  choices?: {
    delta: { content?: string | null; reasoning_content?: string | null };
    finish_reason: string | null;
  }[];
  usage?: PublicUsage | null;
  error?: ApiError;
}

/**
 * Sends a question and streams its answer to the listener.
 * @returns null: the answer is complete; `lost`: the stream ended without its usage
 * @throws what `signal` throws when it is aborted, and TypeError when the connection breaks
 */
export async function ask(
  body: ChatBody,
  { token, signal, listener }: { token: string; signal: AbortSignal; listener: Listener },
): Promise<Fault | 'lost' | null> {
  const response = await fetch('/v1/chat/completions', {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify({ ...body, stream: true, stream_options: { include_usage: true } }),
    signal,
  });
  if (!response.ok || response.body === null) return faultOf(response);
  listener.began(response.headers.get('x-request-id'));
  let fault: Fault | null = null;
  let isCut = false;
  let isEnded = false;
  const parser = createParser({
    onEvent({ data }) {
      if (data === '[DONE]') return;
      const { choices = [], usage, error } = JSON.parse(data) as Chunk;
      if (error) fault = { message: error.message, code: error.code ?? '', retryAfterS: null };
      for (const { delta, finish_reason } of choices) {
        if (delta.reasoning_content || delta.content)
          listener.grew(delta.reasoning_content ?? '', delta.content ?? '');
        isCut ||= finish_reason === 'length';
      }
      if (!usage) return;
      isEnded = true;
      listener.ended(billOf(usage), isCut);
    },
  });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    parser.feed(value);
  }
  return fault ?? (isEnded ? null : 'lost');
}

function billOf(usage: PublicUsage): Bill {
  return {
    promptTokens: usage.prompt_tokens,
    cachedTokens: usage.prompt_tokens_details.cached_tokens,
    completionTokens: usage.completion_tokens,
    reasoningTokens: usage.completion_tokens_details.reasoning_tokens,
    chargeNanoUsd: nanoUsd(usage.cost_nano_usd),
  };
}

interface Generation {
  state: 'held' | 'posted' | 'voided' | 'expired';
  usage: {
    prompt_tokens: number;
    cached_tokens: number;
    completion_tokens: number;
    reasoning_tokens: number;
  };
  charge_nano_usd: number;
}

/** Waits between polls. A bill is settled moments after the answer; that of a stopped answer waits for the node's count. */
const WAITS_MS = [100, 200, 400, 800, 1_600, 3_200, 6_400, 12_800];

/** @returns null: the request was not settled within half a minute, or the API did not answer */
export async function settledBill(requestId: string, token: string): Promise<Bill | null> {
  for (const waitMs of WAITS_MS) {
    await new Promise((resolve) => setTimeout(resolve, waitMs));
    const response = await fetch(`/v1/generations/${requestId}`, {
      headers: { authorization: `Bearer ${token}` },
    }).catch(() => null);
    if (!response?.ok) continue;
    const { state, usage, charge_nano_usd } = (await response.json()) as Generation;
    if (state === 'held') continue;
    return {
      promptTokens: usage.prompt_tokens,
      cachedTokens: usage.cached_tokens,
      completionTokens: usage.completion_tokens,
      reasoningTokens: usage.reasoning_tokens,
      chargeNanoUsd: nanoUsd(charge_nano_usd),
    };
  }
  return null;
}
