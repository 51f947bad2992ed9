/** The arithmetic of a charge as the API and the portal show it: one line for each kind of token, and their sum. */
import { type NanoUsd, nanoUsd } from './money.ts';
import { chargeFor, type Price } from './pricing.ts';
import type { Usage } from './usage.ts';

export interface BillLine {
  /** Reasoning tokens are billed as output, so both share one line. */
  readonly kind: 'cached' | 'uncached' | 'output';
  readonly tokens: number;
  readonly perTokenNanoUsd: NanoUsd;
  readonly amountNanoUsd: NanoUsd;
}

export interface Bill {
  readonly lines: readonly BillLine[];
  /** Sum of the lines. It equals the request's charge; a difference raises a `price` drift (reconciliation.ts). */
  readonly sumNanoUsd: NanoUsd;
}

/** Recomputes the bill of a request from its usage and the price it was charged at. */
export function billOf(usage: Usage, price: Price): Bill {
  const line = (kind: BillLine['kind'], tokens: number, perToken: number): BillLine => ({
    kind,
    tokens,
    perTokenNanoUsd: nanoUsd(perToken),
    amountNanoUsd: nanoUsd(tokens * perToken),
  });
  return {
    lines: [
      line('cached', usage.cachedTokens, price.cacheHitNanoUsd),
      line('uncached', usage.promptTokens - usage.cachedTokens, price.cacheMissNanoUsd),
      line('output', usage.completionTokens, price.outputNanoUsd),
    ],
    sumNanoUsd: chargeFor(usage, price),
  };
}
