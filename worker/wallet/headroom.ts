/** How much requests may still use: credit, caps and limits. Admission, resizing and leases all read it here. */

import type { HoldBound } from '../domain/hold.ts';
import {
  CAP_REACHED,
  capLeft,
  LIMIT_SCOPES,
  type LimitScope,
  type Load,
  periodStartDay,
  type ScopedLimits,
} from '../domain/limits.ts';
import { nanoUsd } from '../domain/money.ts';
import type { TokenCap } from '../domain/wallet.ts';
import type { Cap } from './held-request.ts';
import type { Ledger } from './ledger.ts';
import type { RateCounters } from './rate-counters.ts';
import type { WalletStore } from './store.ts';

export type Caps = Readonly<Record<LimitScope, Cap>> | ScopedLimits;

/** How much more may be held, and which bound sets that amount. */
interface Bound {
  readonly reason: HoldBound;
  /** May be infinite. */
  readonly leftNanoUsd: number;
}

export class Headroom {
  readonly #store: WalletStore;
  readonly #ledger: Ledger;
  readonly #rateCounters: RateCounters;

  constructor(deps: { store: WalletStore; ledger: Ledger; rateCounters: RateCounters }) {
    this.#store = deps.store;
    this.#ledger = deps.ledger;
    this.#rateCounters = deps.rateCounters;
  }

  /** @param counted whether slack of leases counts as used */
  loads(
    keyId: string,
    caps: Caps,
    nowMs: number,
    counted: { slack: boolean } = { slack: true },
  ): Record<LimitScope, Load> {
    const load = (scopeKeyId: string | null, { capNanoUsd, capPeriod }: Cap): Load => ({
      ...this.#rateCounters.load(scopeKeyId, nowMs, counted),
      // Without a cap the sum is not needed, so its rows are not read.
      spentNanoUsd:
        capNanoUsd === null
          ? nanoUsd(0)
          : this.#store.spentSince(scopeKeyId, periodStartDay(capPeriod, nowMs)),
    });
    return { key: load(keyId, caps.key), account: load(null, caps.account) };
  }

  /** The rest of a short-lived token's cap, in nano-USD; infinite without a token. */
  tokenLeft(token: TokenCap | null): number {
    if (token === null) return Number.POSITIVE_INFINITY;
    return capLeft(token, this.#store.tokenUse(token.id))!;
  }

  /** The tightest bound on the growth of a hold. */
  bound(request: { keyId: string; caps: Caps; token: TokenCap | null }, nowMs: number): Bound {
    const { keyId, caps, token } = request;
    const loads = this.loads(keyId, caps, nowMs);
    const bounds: Bound[] = [
      { reason: 'insufficient_balance', leftNanoUsd: this.#ledger.available() },
      { reason: 'token_cap_reached', leftNanoUsd: this.tokenLeft(token) },
      ...LIMIT_SCOPES.map((scope) => ({
        reason: CAP_REACHED[scope],
        leftNanoUsd: capLeft(caps[scope], loads[scope]) ?? Number.POSITIVE_INFINITY,
      })),
    ];
    return bounds.reduce((least, each) => (each.leftNanoUsd < least.leftNanoUsd ? each : least));
  }
}
