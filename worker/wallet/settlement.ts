/**
 * How a hold ends: a charge or nothing, by its edge or, when that has vanished, by the node's receipt. Every call runs in
 * the caller's transaction.
 */

import { coveredUsage, type Ending } from '../domain/hold.ts';
import type { Lease } from '../domain/lease.ts';
import type { Entry } from '../domain/ledger.ts';
import { dayOf } from '../domain/limits.ts';
import { type NanoUsd, nanoUsd } from '../domain/money.ts';
import { chargeFor } from '../domain/pricing.ts';
import { NO_USAGE } from '../domain/usage.ts';
import type { RequestRecord, WalletReceipt } from '../domain/wallet.ts';
import { type HeldRequest, publicRecord } from './held-request.ts';
import type { IdempotencyStore } from './idempotency-store.ts';
import type { Ledger } from './ledger.ts';
import type { Published } from './outbox.ts';
import type { RateCounters } from './rate-counters.ts';
import type { Receipts } from './receipts.ts';
import type { SettlementGroups } from './settlement-groups.ts';
import type { WalletStore } from './store.ts';
import type { ThresholdAlerts } from './threshold-alerts.ts';

export type HoldEnd = Pick<RequestRecord, 'state' | 'nodeId' | 'usage' | 'ttftMs'> & { ending: Ending };

interface Parts {
  readonly store: WalletStore;
  readonly ledger: Ledger;
  readonly replays: IdempotencyStore;
  readonly traffic: RateCounters;
  readonly watcher: ThresholdAlerts;
  readonly pages: SettlementGroups;
  readonly receipts: Receipts;
  readonly tell: (item: Published) => void;
  /** how long a receipt is waited for */
  readonly graceMs: () => number;
}

/** How a request of a lease ended, and what of the lease was its own. */
export type LeasedHold = Omit<HoldEnd, 'state'> &
  Pick<HeldRequest, 'requestId' | 'stream' | 'admittedAtMs' | 'heldNanoUsd'> & {
    readonly state: 'posted' | 'voided' | 'expired';
  };

export class Settlement {
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** The one place where a hold becomes a charge or nothing. */
  resolve(request: HeldRequest, end: HoldEnd, nowMs: number): RequestRecord {
    const { store, traffic, receipts, tell } = this.#parts;
    const usage = coveredUsage(end.usage, request.heldNanoUsd, request.price);
    const chargeNanoUsd = chargeFor(usage, request.price);
    const entry = this.#charge([request.requestId], {
      chargeNanoUsd,
      heldByNanoUsd: 0 - request.heldNanoUsd,
      atMs: nowMs,
    });
    const ended: RequestRecord = {
      ...publicRecord(request),
      ...end,
      usage,
      endedAtMs: nowMs,
      heldNanoUsd: nanoUsd(0),
      chargeNanoUsd,
      entrySeq: entry?.seq ?? null,
    };
    const grantedNanoUsd = nanoUsd(entry === null ? 0 : 0 - entry.grantedNanoUsd);
    tell({ kind: 'settled', accountId: store.accountId(), entry, request: { ...ended, grantedNanoUsd } });
    const backNanoUsd = entry ? this.#giveBackRepeated(request, entry, nowMs) : 0;
    if (request.token) {
      const use = { spentNanoUsd: chargeNanoUsd - backNanoUsd, heldNanoUsd: -request.heldNanoUsd };
      store.changeTokenUse(request.token.id, use, nowMs);
    }
    if (entry) this.#spent(request, nanoUsd(chargeNanoUsd - backNanoUsd), nowMs);
    store.endRequest(ended);
    traffic.end(request, ended);
    receipts.settle(request.requestId, ended, nowMs);
    return ended;
  }

  /**
   * Resolves requests of a lease together: one entry for what they cost, one page for what they were.
   * @param fromLeaseNanoUsd what of their holds the lease had set aside
   */
  resolveTogether(
    { leaseId, terms }: Pick<Lease, 'leaseId' | 'terms'>,
    ends: readonly LeasedHold[],
    fromLeaseNanoUsd: NanoUsd,
    nowMs: number,
  ): void {
    const { store, pages, traffic, receipts, tell } = this.#parts;
    const { keyId, modelId, price, limits } = terms;
    const requests = ends.map((end) => {
      const usage = coveredUsage(end.usage, end.heldNanoUsd, price);
      return { ...end, usage, chargeNanoUsd: chargeFor(usage, price) };
    });
    const charged = requests.filter(({ chargeNanoUsd }) => chargeNanoUsd > 0);
    const chargeNanoUsd = nanoUsd(charged.reduce((sum, each) => sum + each.chargeNanoUsd, 0));
    const heldByNanoUsd = 0 - fromLeaseNanoUsd;
    const ids = charged.map(({ requestId }) => requestId);
    const entry = this.#charge(ids, { chargeNanoUsd, heldByNanoUsd, atMs: nowMs });
    if (entry) this.#spent({ keyId, caps: limits }, chargeNanoUsd, nowMs);
    const tokens = requests.reduce((sum, { usage }) => sum + usage.promptTokens + usage.completionTokens, 0);
    traffic.used(keyId, tokens, nowMs);

    let grantedLeft = entry === null ? 0 : 0 - entry.grantedNanoUsd;
    const paged = requests.map((each) => {
      const grantedNanoUsd = Math.min(grantedLeft, each.chargeNanoUsd);
      grantedLeft -= grantedNanoUsd;
      return { ...each, drawnNanoUsd: each.heldNanoUsd, grantedNanoUsd };
    });
    const page = pages.insert({ leaseId, keyId, modelId, price, entrySeq: entry?.seq ?? null }, paged, nowMs);
    tell({ kind: 'page', accountId: store.accountId(), atMs: page.atMs, entry });
    receipts.settlePage(page, nowMs);
  }

  /**
   * A hold whose edge has not been heard of: the node's receipt decides as soon as one shows output;
   * without one it is voided when the grace is over, because nobody pays for what cannot be proved.
   */
  settleOrphan(request: HeldRequest, nowMs: number): void {
    if (nowMs <= request.leaseUntilMs) return;
    const proof = provenBy(this.#parts.store.unsettledReceipts(request.requestId), request);
    if (proof) {
      const { nodeId, usage, ttftMs } = proof;
      this.resolve(request, { state: 'expired', ending: 'settled_by_receipt', nodeId, usage, ttftMs }, nowMs);
    } else if (nowMs > request.leaseUntilMs + this.#parts.graceMs()) {
      const nothing = { nodeId: null, usage: NO_USAGE, ttftMs: null };
      this.resolve(request, { state: 'expired', ending: 'unproved', ...nothing }, nowMs);
    }
  }

  /** One entry for what requests cost, if anything, and the end of what was held for them. @param ids of those it is for */
  #charge(ids: readonly string[], charge: Parameters<Ledger['charge']>[1]): Entry | null {
    const { store, ledger } = this.#parts;
    if (charge.chargeNanoUsd > 0) return ledger.charge(ids, charge);
    store.changeHeld(charge.heldByNanoUsd);
    return null;
  }

  #spent({ keyId, caps }: Pick<HeldRequest, 'keyId' | 'caps'>, chargeNanoUsd: NanoUsd, nowMs: number): void {
    const { store, ledger, watcher } = this.#parts;
    store.addSpend(keyId, dayOf(nowMs), chargeNanoUsd);
    const spentSince = (whose: string | null, day: number) => store.spentSince(whose, day);
    watcher.caps({ keyId, caps, chargeNanoUsd }, spentSince, nowMs);
    watcher.balance(ledger.balance(), nowMs);
  }

  /**
   * A request that runs again for its idempotency key is paid only as far as it cost more than the runs before it:
   * of all runs together the customer pays the dearest.
   * @returns what was given back
   */
  #giveBackRepeated(request: HeldRequest, charge: Entry, nowMs: number): NanoUsd {
    const { ledger, replays } = this.#parts;
    const key = replays.paidBy(request.requestId);
    if (!key) return nanoUsd(0);
    const chargeNanoUsd = -(charge.grantedNanoUsd + charge.paidNanoUsd);
    const back = nanoUsd(Math.min(key.paidNanoUsd, chargeNanoUsd));
    replays.setPaid(key.lookup, Math.max(key.paidNanoUsd, chargeNanoUsd));
    if (back === 0) return back;
    // paid credit first: it is the last that the charge took
    const paidNanoUsd = nanoUsd(Math.min(back, -charge.paidNanoUsd));
    const legs = { grantedNanoUsd: nanoUsd(back - paidNanoUsd), paidNanoUsd };
    ledger.append('correction', request.requestId, legs, nowMs);
    return back;
  }
}

/** The receipt that shows what of a request reached its client; null: none does. */
export function provenBy(
  receipts: readonly WalletReceipt[],
  request: Pick<HeldRequest, 'stream' | 'background'>,
): WalletReceipt | null {
  const proofs = receipts.filter((receipt) => provesDelivery(receipt, request));
  return proofs.sort((a, b) => b.usage.completionTokens - a.usage.completionTokens)[0] ?? null;
}

/**
 * A whole answer leaves the edge only when it is complete: an attempt that failed on the way reached nobody. The answer
 * of a batch is kept before it is paid for, so one that nobody paid for is one that nobody has.
 */
function provesDelivery(
  { usage, outcome }: WalletReceipt,
  { stream, background }: Pick<HeldRequest, 'stream' | 'background'>,
): boolean {
  return (
    !background && usage.completionTokens > 0 && (stream || outcome === 'finished' || outcome === 'aborted')
  );
}
