/**
 * The life of a hold: made small before work, resized while tokens flow, resolved once.
 * `held → posted | voided | expired` (TigerBeetle's two-phase transfer, with a size that can change).
 */
import { type NanoUsd, nanoUsd } from './money.ts';
import { chargeFor, type Price } from './pricing.ts';
import type { Usage } from './usage.ts';

export type RequestState = 'held' | 'posted' | 'voided' | 'expired';

/** Why a request ended, in the words that usage rows, logs and pages use. */
export type Ending =
  /** the engine finished by itself */
  | 'finished'
  /** the client left; what was generated until then is billed */
  | 'client_gone'
  /** credit or the key's cap ran out; generation was cut at the last covered token */
  | 'out_of_credit'
  /** the node broke after output had left; the part that left is billed */
  | 'node_failed'
  /** no node gave an answer */
  | 'not_served'
  /** the edge vanished; settled by the node's receipt */
  | 'settled_by_receipt'
  /** the edge vanished and no receipt came */
  | 'unproved';

/** Output tokens per choice that the first hold covers: about half a minute of decoding. */
export const WINDOW_TOKENS = 1_024;

/**
 * Tokens that a prompt can have, at least and at most, from its UTF-8 bytes.
 * Most: a byte-level BPE never needs more tokens than bytes; 16 a message and 64 a request cover the chat template.
 * Least: long vocabulary entries (runs of spaces, rules of dashes) stay well under 128 bytes.
 */
export function promptTokenBounds(contentBytes: number, messages: number): { min: number; max: number } {
  return { min: Math.ceil(contentBytes / 128), max: contentBytes + 16 * messages + 64 };
}

/** Bytes of text a token has on average: for what is counted, never for what is held or billed. */
const BYTES_PER_TOKEN = 4;

/** What a request will count against tokens/min until its usage is known: its prompt and a first window of output. */
export function tokenEstimate(request: { contentBytes: number; maxTokens: number; choices: number }): number {
  const { contentBytes, maxTokens, choices } = request;
  return Math.ceil(contentBytes / BYTES_PER_TOKEN) + Math.min(WINDOW_TOKENS, maxTokens) * choices;
}

export interface HoldRange {
  /** covers the whole prompt uncached and a first window of output */
  readonly wantedNanoUsd: NanoUsd;
  /** less than this cannot pay for a single token of answer, so the request is refused */
  readonly leastNanoUsd: NanoUsd;
}

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

/** The hold that covers what is used so far and another window of output, up to the request's limit. */
export function nextHold(
  usage: Usage,
  price: Price,
  limits: { maxTokens: number; choices: number },
): NanoUsd {
  const limit = limits.maxTokens * limits.choices;
  const ahead = Math.min(WINDOW_TOKENS * limits.choices, Math.max(0, limit - usage.completionTokens));
  return nanoUsd(chargeFor(usage, price) + ahead * price.outputNanoUsd);
}

/** Completion tokens that a hold still covers after `usage`; below zero when usage has passed the hold. */
export function tokensLeft(heldNanoUsd: NanoUsd, usage: Usage, price: Price): number {
  return Math.floor((heldNanoUsd - chargeFor(usage, price)) / price.outputNanoUsd);
}

/**
 * The part of `usage` that a hold pays for. Output is given up first, then uncached prompt, then cached:
 * the charge never passes the hold, and stays usage × price, so the customer can still recompute it.
 */
export function coveredUsage(usage: Usage, heldNanoUsd: NanoUsd, price: Price): Usage {
  if (chargeFor(usage, price) <= heldNanoUsd) return usage;
  let left: number = heldNanoUsd;
  const take = (tokens: number, each: number) => {
    const taken = each === 0 ? tokens : Math.min(tokens, Math.floor(left / each));
    left -= taken * each;
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
/** Why a hold is smaller than was wanted. */
export type HoldBound =
  | 'insufficient_balance'
  | 'key_cap_reached'
  | 'account_cap_reached'
  | 'token_cap_reached';
