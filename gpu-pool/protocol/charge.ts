/** What usage costs, and what a hold pays for: one arithmetic for the edge, which bills, and the agent, which stops there. */
import type { NodeUsage } from './schemas.ts';

/** Prices in integer nano-USD per token. */
export interface TokenPrice {
  readonly cache_hit: number;
  readonly cache_miss: number;
  readonly output: number;
}

/** The charge for usage in nano-USD. It is exact: all factors are integers, so nothing is rounded. */
export function chargeNanoUsd(usage: NodeUsage, price: TokenPrice): number {
  return (
    usage.cached_tokens * price.cache_hit +
    (usage.prompt_tokens - usage.cached_tokens) * price.cache_miss +
    usage.completion_tokens * price.output
  );
}

/** Completion tokens that a hold still pays for after `usage`; negative when usage exceeds the hold. */
export function tokensLeft(heldNanoUsd: number, usage: NodeUsage, price: TokenPrice): number {
  const left = heldNanoUsd - chargeNanoUsd(usage, price);
  // A free token is paid for by any hold that pays for the rest.
  if (price.output === 0) return left < 0 ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
  return Math.floor(left / price.output);
}
