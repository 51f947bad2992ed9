/** What is left for requests now: credit, caps and limits, in one place for all who hand it out. */

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

/** How much more may be held, and what keeps it from being more. */
interface Bound {
  readonly by: HoldBound;
  /** may be infinite */
  readonly leftNanoUsd: number;
}

export class Headroom {
  readonly #store: WalletStore;
  readonly #ledger: Ledger;
  readonly #traffic: RateCounters;

  constructor(parts: { store: WalletStore; ledger: Ledger; traffic: RateCounters }) {
    this.#store = parts.store;
    this.#ledger = parts.ledger;
    this.#traffic = parts.traffic;
  }

  loads(
    keyId: string,
    caps: Caps,
    nowMs: number,
    of: { slack: boolean } = { slack: true },
  ): Record<LimitScope, Load> {
    const load = (whose: string | null, { capNanoUsd, capPeriod }: Cap): Load => ({
      ...this.#traffic.load(whose, nowMs, of),
      // without a cap nobody asks, so the sum is not worth its rows
      spentNanoUsd:
        capNanoUsd === null ? nanoUsd(0) : this.#store.spentSince(whose, periodStartDay(capPeriod, nowMs)),
    });
    return { key: load(keyId, caps.key), account: load(null, caps.account) };
  }

  tokenLeft(token: TokenCap | null): number {
    if (token === null) return Number.POSITIVE_INFINITY;
    return capLeft(token, this.#store.tokenUse(token.id))!;
  }

  /** The tightest of what bounds a hold that grows. */
  bound(request: { keyId: string; caps: Caps; token: TokenCap | null }, nowMs: number): Bound {
    const { keyId, caps, token } = request;
    const loads = this.loads(keyId, caps, nowMs);
    const bounds: Bound[] = [
      { by: 'insufficient_balance', leftNanoUsd: this.#ledger.available() },
      { by: 'token_cap_reached', leftNanoUsd: this.tokenLeft(token) },
      ...LIMIT_SCOPES.map((scope) => ({
        by: CAP_REACHED[scope],
        leftNanoUsd: capLeft(caps[scope], loads[scope]) ?? Number.POSITIVE_INFINITY,
      })),
    ];
    return bounds.reduce((least, each) => (each.leftNanoUsd < least.leftNanoUsd ? each : least));
  }
}
