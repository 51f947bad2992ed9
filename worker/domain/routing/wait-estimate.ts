/**
 * Estimates how long a request would wait at a node for its first token, in
 * seconds, and how full it would make the node.
 */
import type { Hardware } from '../../../gpu-pool/protocol/schemas.ts';
import type { Candidate } from './policy.ts';

/** Prompt tokens per second. These are estimates: no comparable figures are published for SGLang without disaggregation. */
const PREFILL_TOKENS_PER_SECOND: Record<Hardware, number> = {
  '8xh800-pair': 12_000,
  '8xh800': 16_000,
  '8xh200': 16_000,
  '8xmi300x': 14_000,
};
/** Rate for hardware that this version does not know, because a newer one registered it. */
const PREFILL_ASSUMED = 10_000;

/**
 * Output tokens of an average answer of a reasoning model, thinking included:
 * the work before a queue slot is free. An estimate.
 */
export const OUTPUT_TOKENS_MEAN = 2_000;

/** Seconds to compute a prompt. @param tokens prompt tokens that are not cached */
export function prefillSeconds({ node }: Candidate, tokens: number): number {
  return tokens / (PREFILL_TOKENS_PER_SECOND[node.hardware as Hardware] ?? PREFILL_ASSUMED);
}

/** Seconds until the prompts ahead are computed and, if there is a queue, until enough running requests have ended. */
export function waitSeconds(candidate: Candidate): number {
  const { load, capacity } = candidate.node;
  const prompts = prefillSeconds(candidate, load.waiting_tokens + candidate.local.waitingTokens);
  if (load.waiting_requests === 0) return prompts;
  const tokensPerSecond = load.generation_tokens_per_second || capacity;
  return prompts + (load.waiting_requests * OUTPUT_TOKENS_MEAN) / tokensPerSecond;
}

/**
 * How full a node would be with `promptTokens` more: 1 means a full KV cache or all slots taken, whichever comes first, and
 * above 1 requests queue. Null when the engine does not report its sizes.
 */
export function fullness({ node: { load }, local }: Candidate, promptTokens: number): number | null {
  if (load.capacity_tokens === 0 || load.max_running_requests === 0) return null;
  const requests = Math.max(load.running_requests + load.waiting_requests, local.requests) + 1;
  const slots = requests / load.max_running_requests;
  const tokens = load.used_tokens + load.waiting_tokens + local.waitingTokens + promptTokens;
  return Math.max(slots, tokens / load.capacity_tokens);
}
