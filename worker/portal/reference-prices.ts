/** List prices of others that the landing page compares with. Dated: a comparison without a date is an assertion. */

/** In nano-USD per token, as our own prices are. */
export interface ReferencePrice {
  readonly cacheHitNanoUsd: number;
  readonly cacheMissNanoUsd: number;
  readonly outputNanoUsd: number;
  readonly retiredAtMs: number;
}

/** OpenAI's list price for o1: $7.50, $15.00 and $60.00 per million tokens. */
export const O1: ReferencePrice = {
  cacheHitNanoUsd: 7_500,
  cacheMissNanoUsd: 15_000,
  outputNanoUsd: 60_000,
  retiredAtMs: Date.UTC(2026, 9, 23),
};

export const TOKEN_KINDS = ['cacheHitNanoUsd', 'cacheMissNanoUsd', 'outputNanoUsd'] as const;

/** Share saved on a kind of token, 0 to 1. */
export function saving(
  ours: Pick<ReferencePrice, (typeof TOKEN_KINDS)[number]>,
  kind: (typeof TOKEN_KINDS)[number],
) {
  return 1 - ours[kind] / O1[kind];
}
