/**
 * Whether refusals for want of credit came when credit was wanting. Clocks of two processes differ, so this goes by
 * what is certain: a request is admitted after its client sent it, and its hold is gone before its client has the end.
 */

/** Something of the Wallet happened between these two. */
export interface Span {
  readonly sentAtMs: number;
  readonly endedAtMs: number;
}

export interface Funds {
  readonly fundedNanoUsd: number;
  /** below this nothing can be held */
  readonly leastNanoUsd: number;
  /** what a request holds at most */
  readonly wantedNanoUsd: number;
}

/** The refusals during all of whose time there was credit for another request, however much the others held. */
export function untimely(
  refused: readonly Span[],
  served: readonly (Span & { readonly chargeNanoUsd: number })[],
  { fundedNanoUsd, leastNanoUsd, wantedNanoUsd }: Funds,
): string[] {
  const changes = served
    .flatMap(({ sentAtMs, endedAtMs, chargeNanoUsd }) => [
      { atMs: sentAtMs, byNanoUsd: -wantedNanoUsd },
      { atMs: endedAtMs + 1, byNanoUsd: wantedNanoUsd - chargeNanoUsd },
    ])
    .sort((a, b) => a.atMs - b.atMs || a.byNanoUsd - b.byNanoUsd);
  return refused.flatMap(({ sentAtMs, endedAtMs }) => {
    let available = fundedNanoUsd;
    let least = Number.POSITIVE_INFINITY;
    for (const { atMs, byNanoUsd } of changes) {
      if (atMs > endedAtMs) break;
      if (atMs > sentAtMs) least = Math.min(least, available);
      available += byNanoUsd;
    }
    least = Math.min(least, available);
    return least < leastNanoUsd ? [] : [`refused in ${sentAtMs}–${endedAtMs} beside ${least} nano-USD`];
  });
}
