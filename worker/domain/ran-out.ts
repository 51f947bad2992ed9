/**
 * The refusal of a request whose prompt turns out to cost more than what was left for it. Only the engine's count shows
 * that, so the request was admitted; it gave nothing and costs nothing, and the refusal names the limit as admission would.
 */
import type { HoldBound } from './hold.ts';
import { type Cap, periodEndMs, type ScopedLimits } from './limits.ts';
import { type NanoUsd, nanoUsd } from './money.ts';
import type { AdmitRefusal, TokenCap } from './wallet.ts';

export interface RanOut {
  readonly bound: HoldBound;
  /** The cost of the prompt and one token of an answer. */
  readonly requiredNanoUsd: NanoUsd;
  /** The credit that was left for the request. */
  readonly heldNanoUsd: NanoUsd;
}

export function ranOutRefusal(
  { bound, requiredNanoUsd, heldNanoUsd }: RanOut,
  { limits, token }: { readonly limits: ScopedLimits; readonly token: TokenCap | null },
  nowMs: number,
): AdmitRefusal {
  const used = (capNanoUsd: NanoUsd) => ({
    capNanoUsd,
    usedNanoUsd: nanoUsd(Math.max(0, capNanoUsd - heldNanoUsd)),
  });
  const ofCap = (
    reason: Exclude<HoldBound, 'insufficient_balance' | 'token_cap_reached'>,
    cap?: Cap | null,
  ) =>
    cap?.capNanoUsd == null
      ? null
      : { reason, ...used(cap.capNanoUsd), resetAtMs: periodEndMs(cap.capPeriod, nowMs) };
  const refusals: Record<HoldBound, AdmitRefusal | null> = {
    insufficient_balance: null,
    key_cap_reached: ofCap('key_cap_reached', limits.key),
    manager_cap_reached: ofCap('manager_cap_reached', limits.shared?.manager),
    account_cap_reached: ofCap('account_cap_reached', limits.account),
    token_cap_reached: token && { reason: 'token_cap_reached', ...used(token.capNanoUsd) },
  };
  return (
    refusals[bound] ?? { reason: 'insufficient_balance', requiredNanoUsd, availableNanoUsd: heldNanoUsd }
  );
}
