/** The charge for usage: one arithmetic for the edge, which bills, and the agent, which lets no more leave than is paid for. */
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
