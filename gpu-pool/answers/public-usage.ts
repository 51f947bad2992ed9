/** Usage and cost as clients get them. */
import type { NodeUsage } from '../protocol/schemas.ts';

/** The `usage` of an answer: OpenAI's names, DeepSeek's names, and what it cost in US dollars. */
export function toPublicUsage(usage: NodeUsage, chargeNanoUsd: number) {
  return {
    prompt_tokens: usage.prompt_tokens,
    completion_tokens: usage.completion_tokens,
    total_tokens: usage.prompt_tokens + usage.completion_tokens,
    prompt_cache_hit_tokens: usage.cached_tokens,
    prompt_cache_miss_tokens: usage.prompt_tokens - usage.cached_tokens,
    prompt_tokens_details: { cached_tokens: usage.cached_tokens },
    completion_tokens_details: { reasoning_tokens: usage.reasoning_tokens },
    ...toPublicCost(chargeNanoUsd),
  };
}

/**
 * The cost of an answer, in its `usage`: in US dollars as a number, as OpenRouter has it, and exactly, in nano-USD. The number
 * is the double nearest to the amount: below a million dollars its digits in JSON are exactly the amount's, since doubles
 * tell any fifteen digits apart.
 */
export function toPublicCost(chargeNanoUsd: number): { cost: number; cost_nano_usd: number } {
  return { cost: chargeNanoUsd / 1_000_000_000, cost_nano_usd: chargeNanoUsd };
}
