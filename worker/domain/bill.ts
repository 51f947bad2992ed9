/** The arithmetic of a charge: a line a kind of token, and their sum. What the API answers and the pages show. */
import { type NanoUsd, nanoUsd } from './money.ts';
import { chargeFor, type Price } from './pricing.ts';
import type { Usage } from './usage.ts';

export interface BillLine {
  /** reasoning is billed as output, so both are one line */
  readonly kind: 'cached' | 'uncached' | 'output';
  readonly tokens: number;
  readonly eachNanoUsd: NanoUsd;
  readonly amountNanoUsd: NanoUsd;
}

export interface Bill {
  readonly lines: readonly BillLine[];
  /** of the lines; the charge of the request, or `drift` would have been raised */
  readonly sumNanoUsd: NanoUsd;
}

export function billOf(usage: Usage, price: Price): Bill {
  const line = (kind: BillLine['kind'], tokens: number, each: number): BillLine => ({
    kind,
    tokens,
    eachNanoUsd: nanoUsd(each),
    amountNanoUsd: nanoUsd(tokens * each),
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
