/** How long a request would wait at a node for its first token, in seconds, and how full it would make the node. */
import type { Hardware } from '../../../gpu-pool/protocol/schemas.ts';
import type { Candidate } from './policy.ts';

/** Prompt tokens per second. Estimates: nothing like for like is published for SGLang without disaggregation. */
const PREFILL_TOKENS_PER_SECOND: Record<Hardware, number> = {
  '8xh800-pair': 12_000,
  '8xh200': 16_000,
  '8xmi300x': 14_000,
};
/** Hardware that was registered by a newer version. */
const PREFILL_ASSUMED = 10_000;

/** A reasoning model's answer, thinking included: what a place in the queue costs before it is free. An estimate. */
export const OUTPUT_TOKENS_MEAN = 2_000;

/** @param tokens of a prompt that are not in the cache */
export function prefillSeconds({ node }: Candidate, tokens: number): number {
  return tokens / (PREFILL_TOKENS_PER_SECOND[node.hardware as Hardware] ?? PREFILL_ASSUMED);
}

/** Until the prompts before it are computed and, with a queue, until enough of the running have made room. */
export function waitSeconds(candidate: Candidate): number {
  const { load, capacity } = candidate.node;
  const prompts = prefillSeconds(candidate, load.waiting_tokens + candidate.own.waitingTokens);
  if (load.waiting_requests === 0) return prompts;
  const tokensPerSecond = load.generation_tokens_per_second || capacity;
  return prompts + (load.waiting_requests * OUTPUT_TOKENS_MEAN) / tokensPerSecond;
}

/**
 * How full a node would be with `promptTokens` more: 1 is a full KV cache or all slots taken, whichever comes first;
 * beyond it is the queue. Null where the engine does not report its sizes.
 */
export function fullness({ node: { load }, own }: Candidate, promptTokens: number): number | null {
  if (load.capacity_tokens === 0 || load.max_running_requests === 0) return null;
  const requests = Math.max(load.running_requests + load.waiting_requests, own.requests) + 1;
  const slots = requests / load.max_running_requests;
  const tokens = load.used_tokens + load.waiting_tokens + own.waitingTokens + promptTokens;
  return Math.max(slots, tokens / load.capacity_tokens);
}
