/**
 * Checks that requests were refused for insufficient balance only while the balance was insufficient. Clocks of two
 * processes differ, so this relies on what is certain: a request is admitted after its client sent it, and its hold has
 * ended before its client has the end of the answer.
 */

/** The client's view of a request: whatever its Wallet did for it happened between these two instants. */
export interface Span {
  readonly sentAtMs: number;
  readonly endedAtMs: number;
}

export interface Funds {
  readonly fundedNanoUsd: number;
  /** The least available balance that admits a request. */
  readonly leastNanoUsd: number;
  /** The most that a request holds. */
  readonly wantedNanoUsd: number;
}

/** Finds the refusals during whose whole span the balance would have admitted a request, however much others held. */
export function prematureRefusals(
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
