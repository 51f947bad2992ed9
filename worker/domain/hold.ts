/**
 * The life of a hold. It is made before the work, large enough for the most tokens that the prompt's bytes can be; trimmed
 * to the real count where credit is short; grown while tokens flow; and resolved once.
 * `held → posted | voided | expired` is TigerBeetle's two-phase transfer with a size that can change.
 */
import { type NanoUsd, nanoUsd } from './money.ts';
import { chargeFor, type Price } from './pricing.ts';
import type { Usage } from './usage.ts';

export type RequestState = 'held' | 'posted' | 'voided' | 'expired';

/** Why a request ended. Usage rows, logs and portal pages use these values. */
export type Ending =
  /** The engine finished the answer. */
  | 'finished'
  /** The client disconnected; what was generated until then is billed. */
  | 'client_gone'
  /** Credit or a cap ran out; generation was cut at the last covered token. Requests of today say which one. */
  | 'out_of_credit'
  | HoldBound
  /** The node failed mid-answer; billed only if output reached the client. */
  | 'node_failed'
  /** The node counted a larger prompt than the request can have or the model takes; billed only if output reached the client. */
  | 'implausible'
  /** No node gave an answer. */
  | 'not_served'
  /** The edge's isolate was lost; the node's receipt settled the request. */
  | 'settled_by_receipt'
  /** The edge's isolate was lost and no receipt came. */
  | 'unproved';

/** Output tokens per choice that a hold covers ahead: about half a minute of decoding. */
export const WINDOW_TOKENS = 1_024;

/**
 * The fewest and the most tokens that a prompt can have, by its UTF-8 bytes.
 * Most: a byte-level BPE never needs more tokens than bytes. `templateBytes` (template-bytes.ts) and 16 tokens a message
 * and 64 a request cover the chat template. A node that counts more is mistaken, or its engine is another one.
 * Fewest: even long vocabulary entries (runs of spaces, long runs of dashes) stay well under 128 bytes.
 */
export function promptTokenBounds(
  contentBytes: number,
  messages: number,
  templateBytes = 0,
): { min: number; max: number } {
  return { min: Math.ceil(contentBytes / 128), max: contentBytes + templateBytes + 16 * messages + 64 };
}

/** Average bytes of text per token. It serves rate limits only, never a hold or a bill. */
const BYTES_PER_TOKEN = 4;

/** Tokens that a request counts against tokens/min until its usage is known: its prompt and a first window of output. */
export function tokenEstimate(request: { contentBytes: number; maxTokens: number; choices: number }): number {
  const { contentBytes, maxTokens, choices } = request;
  return Math.ceil(contentBytes / BYTES_PER_TOKEN) + Math.min(WINDOW_TOKENS, maxTokens) * choices;
}

export interface HoldRange {
  /** Covers the whole prompt uncached, and a first window of output. */
  readonly wantedNanoUsd: NanoUsd;
  /** The minimum: less cannot pay for a single token of answer, so the request is refused. */
  readonly leastNanoUsd: NanoUsd;
}

/** The hold to ask for at admission. */
export function firstHold(request: {
  promptTokensMin: number;
  promptTokensMax: number;
  maxTokens: number;
  choices: number;
  price: Price;
}): HoldRange {
  const { price, choices } = request;
  const window = Math.min(WINDOW_TOKENS, request.maxTokens) * choices;
  return {
    wantedNanoUsd: nanoUsd(request.promptTokensMax * price.cacheMissNanoUsd + window * price.outputNanoUsd),
    leastNanoUsd: nanoUsd(request.promptTokensMin * price.cacheHitNanoUsd + price.outputNanoUsd),
  };
}

/** The hold that covers the usage so far and another window of output, up to the request's max_tokens. */
export function nextHold(
  usage: Usage,
  price: Price,
  limits: { maxTokens: number; choices: number },
): NanoUsd {
  const limit = limits.maxTokens * limits.choices;
  const ahead = Math.min(WINDOW_TOKENS * limits.choices, Math.max(0, limit - usage.completionTokens));
  return nanoUsd(chargeFor(usage, price) + ahead * price.outputNanoUsd);
}

/** Completion tokens that a hold still covers after `usage`; negative when usage exceeds the hold. */
export function tokensLeft(heldNanoUsd: NanoUsd, usage: Usage, price: Price): number {
  return Math.floor((heldNanoUsd - chargeFor(usage, price)) / price.outputNanoUsd);
}

/**
 * The part of `usage` that a hold pays for. Output is given up first, then uncached prompt, then cached prompt: the
 * charge never exceeds the hold, and remains usage × price, so the customer can still recompute it.
 */
export function coveredUsage(usage: Usage, heldNanoUsd: NanoUsd, price: Price): Usage {
  if (chargeFor(usage, price) <= heldNanoUsd) return usage;
  let left: number = heldNanoUsd;
  const take = (tokens: number, perToken: number) => {
    const taken = perToken === 0 ? tokens : Math.min(tokens, Math.floor(left / perToken));
    left -= taken * perToken;
    return taken;
  };
  const cachedTokens = take(usage.cachedTokens, price.cacheHitNanoUsd);
  const uncachedTokens = take(usage.promptTokens - usage.cachedTokens, price.cacheMissNanoUsd);
  const completionTokens = take(usage.completionTokens, price.outputNanoUsd);
  return {
    promptTokens: cachedTokens + uncachedTokens,
    cachedTokens,
    completionTokens,
    reasoningTokens: Math.min(usage.reasoningTokens, completionTokens),
  };
}

/** The limits that keep a hold below the size that was wanted: the credit of the account, and caps. */
export const HOLD_BOUNDS = [
  'insufficient_balance',
  'key_cap_reached',
  'manager_cap_reached',
  'account_cap_reached',
  'token_cap_reached',
] as const;
export type HoldBound = (typeof HOLD_BOUNDS)[number];
