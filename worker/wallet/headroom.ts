/** How much requests may still use: credit, caps and limits. Admission, resizing and leases all read it here. */

import type { HoldBound } from '../domain/hold.ts';
import {
  type Cap,
  type Caps,
  type CapUse,
  capLeft,
  capsOf,
  type Loads,
  periodStartDay,
} from '../domain/limits.ts';
import { type NanoUsd, nanoUsd } from '../domain/money.ts';
import type { TokenCap } from '../domain/wallet.ts';
import type { Ledger } from './ledger.ts';
import type { RateCounters } from './rate-counters.ts';
import type { SpendStore } from './spend-store.ts';
import type { WalletStore } from './store.ts';

/** How much more may be held, and which bound sets that amount. */
interface Bound {
  readonly reason: HoldBound;
  /** May be infinite. */
  readonly leftNanoUsd: number;
}

export class Headroom {
  readonly #store: WalletStore;
  readonly #spendStore: SpendStore;
  readonly #ledger: Ledger;
  readonly #rateCounters: RateCounters;

  constructor(deps: {
    store: WalletStore;
    spendStore: SpendStore;
    ledger: Ledger;
    rateCounters: RateCounters;
  }) {
    this.#store = deps.store;
    this.#spendStore = deps.spendStore;
    this.#ledger = deps.ledger;
    this.#rateCounters = deps.rateCounters;
  }

  /** @param counted whether slack of leases counts as used */
  loads(keyId: string, caps: Caps, nowMs: number, counted: { slack: boolean } = { slack: true }): Loads {
    const { lineageId = null, manager = null } = caps.shared ?? {};
    const use = (capKeyId: string, cap: Cap): CapUse => ({
      heldNanoUsd: this.#rateCounters.capHeld(capKeyId, counted),
      spentNanoUsd: this.#spent(capKeyId, cap, nowMs),
    });
    const key = { ...this.#rateCounters.load(keyId, nowMs, counted), ...use(lineageId ?? keyId, caps.key) };
    const account = {
      ...this.#rateCounters.load(null, nowMs, counted),
      spentNanoUsd: this.#spent(null, caps.account, nowMs),
    };
    return manager ? { key, account, manager: use(manager.keyId, manager) } : { key, account };
  }

  /** Without a cap the sum is not needed, so its rows are not read. */
  #spent(keyId: string | null, { capNanoUsd, capPeriod }: Cap, nowMs: number): NanoUsd {
    return capNanoUsd === null ? nanoUsd(0) : this.#spendStore.since(keyId, periodStartDay(capPeriod, nowMs));
  }

  /** The rest of a short-lived token's cap, in nano-USD; infinite without a token. */
  tokenLeft(token: TokenCap | null): number {
    if (token === null) return Number.POSITIVE_INFINITY;
    return capLeft(token, this.#store.tokenUse(token.id))!;
  }

  /** The tightest bound on the growth of a hold. @param known the loads, where they have been read */
  bound(request: { keyId: string; caps: Caps; token: TokenCap | null }, nowMs: number, known?: Loads): Bound {
    const { keyId, caps, token } = request;
    const loads = known ?? this.loads(keyId, caps, nowMs);
    const bounds: Bound[] = [
      { reason: 'insufficient_balance', leftNanoUsd: this.#ledger.available() },
      { reason: 'token_cap_reached', leftNanoUsd: this.tokenLeft(token) },
      ...capsOf(caps, loads).map(({ reason, cap, use }) => ({
        reason,
        leftNanoUsd: capLeft(cap, use) ?? Number.POSITIVE_INFINITY,
      })),
    ];
    return bounds.reduce((least, each) => (each.leftNanoUsd < least.leftNanoUsd ? each : least));
  }
}
