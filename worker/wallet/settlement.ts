/**
 * Settles holds: each ends as a charge or as nothing. The edge that served the request decides or, when that edge was
 * lost, the node's receipt. Calls run in the caller's transaction.
 */

import { coveredUsage, type Ending } from '../domain/hold.ts';
import type { Lease } from '../domain/lease.ts';
import type { Entry } from '../domain/ledger.ts';
import { dayOf, sharingIds } from '../domain/limits.ts';
import { type NanoUsd, nanoUsd } from '../domain/money.ts';
import { chargeFor } from '../domain/pricing.ts';
import { NO_USAGE } from '../domain/usage.ts';
import type { RequestRecord, WalletReceipt } from '../domain/wallet.ts';
import { type HeldRequest, publicRecord } from './held-request.ts';
import type { IdempotencyStore } from './idempotency-store.ts';
import type { Ledger } from './ledger.ts';
import type { LedgerStore } from './ledger-store.ts';
import type { Published } from './outbox.ts';
import type { OutboxStore } from './outbox-store.ts';
import type { RateCounters } from './rate-counters.ts';
import type { ReceiptStore } from './receipt-store.ts';
import type { Receipts } from './receipts.ts';
import type { RequestStore } from './request-store.ts';
import type { SettlementGroups } from './settlement-groups.ts';
import type { SpendStore } from './spend-store.ts';
import type { WalletStore } from './store.ts';
import type { ThresholdAlerts } from './threshold-alerts.ts';

/** The end of a request as it is known before the request is charged. */
export type HoldEnd = Pick<RequestRecord, 'state' | 'nodeId' | 'usage' | 'ttftMs'> & { ending: Ending };

interface SettlementDeps {
  readonly store: WalletStore;
  readonly requestStore: RequestStore;
  readonly outboxStore: OutboxStore;
  readonly spendStore: SpendStore;
  readonly ledgerStore: LedgerStore;
  readonly receiptStore: ReceiptStore;
  readonly ledger: Ledger;
  readonly idempotencyStore: IdempotencyStore;
  readonly rateCounters: RateCounters;
  readonly alerts: ThresholdAlerts;
  readonly groups: SettlementGroups;
  readonly receipts: Receipts;
  readonly publish: (item: Published) => void;
  /** Wakes the Wallet to publish a request that has ended. */
  readonly publishEnded: () => void;
  /** How long an orphaned hold waits for a receipt. */
  readonly graceMs: () => number;
}

/** The end of a request of a lease, with its hold: the part of the lease that was set aside for it. */
export type LeasedHoldEnd = Omit<HoldEnd, 'state'> &
  Pick<HeldRequest, 'requestId' | 'stream' | 'admittedAtMs' | 'heldNanoUsd'> & {
    readonly state: 'posted' | 'voided' | 'expired';
  };

export class WalletSettlement {
  readonly #deps: SettlementDeps;

  constructor(deps: SettlementDeps) {
    this.#deps = deps;
  }

  /** Ends the hold of one request: charges what it used, as far as the hold covers that, and releases the rest. */
  resolve(request: HeldRequest, end: HoldEnd, nowMs: number): RequestRecord {
    const { store, requestStore, outboxStore, rateCounters, receipts, publishEnded } = this.#deps;
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
    const backNanoUsd = entry ? this.#creditBackRepeated(request, entry, nowMs) : 0;
    if (request.token) {
      const use = { spentNanoUsd: chargeNanoUsd - backNanoUsd, heldNanoUsd: -request.heldNanoUsd };
      store.changeTokenUse(request.token.id, use, nowMs);
    }
    const outcome = receipts.takeEarly(ended, nowMs);
    requestStore.end(ended, { outboxSeq: outboxStore.nextSeq(), grantedNanoUsd, outcome });
    publishEnded();
    if (entry) this.#raiseAlerts(request, nanoUsd(chargeNanoUsd - backNanoUsd), nowMs);
    rateCounters.end(request, ended);
    receipts.settle(request.requestId, ended, nowMs);
    return ended;
  }

  /**
   * Ends requests of a lease together: one ledger entry for what they cost, one settlement group for their records.
   * @param fromLeaseNanoUsd the part of their holds that the lease had set aside
   */
  resolveTogether(
    { leaseId, terms }: Pick<Lease, 'leaseId' | 'terms'>,
    ends: readonly LeasedHoldEnd[],
    fromLeaseNanoUsd: NanoUsd,
    nowMs: number,
  ): void {
    const { store, spendStore, groups, rateCounters, receipts, publish } = this.#deps;
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
    if (entry) {
      spendStore.add({ keyId, sharing: sharingIds(limits.shared) }, dayOf(nowMs), chargeNanoUsd);
      this.#raiseAlerts({ keyId, caps: limits }, chargeNanoUsd, nowMs);
    }
    const tokens = requests.reduce((sum, { usage }) => sum + usage.promptTokens + usage.completionTokens, 0);
    rateCounters.used(keyId, tokens, nowMs);

    let grantedLeft = entry === null ? 0 : 0 - entry.grantedNanoUsd;
    const grouped = requests.map((each) => {
      const grantedNanoUsd = Math.min(grantedLeft, each.chargeNanoUsd);
      grantedLeft -= grantedNanoUsd;
      return { ...each, drawnNanoUsd: each.heldNanoUsd, grantedNanoUsd };
    });
    const groupTerms = { leaseId, keyId, modelId, price, entrySeq: entry?.seq ?? null };
    const group = groups.insert(groupTerms, grouped, nowMs);
    publish({ kind: 'page', accountId: store.accountId(), atMs: group.atMs, entry });
    receipts.settleGroup(group, nowMs);
  }

  /** Whether `settleOrphan` would end an expired hold. */
  isSettleable(request: HeldRequest, nowMs: number): boolean {
    const { receiptStore, graceMs } = this.#deps;
    return (
      nowMs > request.holdExpiresAtMs + graceMs() ||
      provenBy(receiptStore.unsettled(request.requestId), request) !== null
    );
  }

  /**
   * Settles a hold that its edge has stopped renewing. The node's receipt decides as soon as one shows output. Without
   * one the hold is voided when the grace is over, because what cannot be proved is not charged.
   */
  settleOrphan(request: HeldRequest, nowMs: number): void {
    if (nowMs <= request.holdExpiresAtMs) return;
    const proof = provenBy(this.#deps.receiptStore.unsettled(request.requestId), request);
    if (proof) {
      const { nodeId, usage, ttftMs } = proof;
      this.resolve(request, { state: 'expired', ending: 'settled_by_receipt', nodeId, usage, ttftMs }, nowMs);
    } else if (nowMs > request.holdExpiresAtMs + this.#deps.graceMs()) {
      const nothing = { nodeId: null, usage: NO_USAGE, ttftMs: null };
      this.resolve(request, { state: 'expired', ending: 'unproved', ...nothing }, nowMs);
    }
  }

  /**
   * Posts one entry for what requests cost, and releases their holds.
   * @returns null: they cost nothing, so there is no entry
   */
  #charge(requestIds: readonly string[], charge: Parameters<Ledger['charge']>[1]): Entry | null {
    const { ledgerStore, ledger } = this.#deps;
    if (charge.chargeNanoUsd > 0) return ledger.charge(requestIds, charge);
    ledgerStore.changeHeld(charge.heldByNanoUsd);
    return null;
  }

  /** Raises the alerts that a charge sets off. */
  #raiseAlerts(
    { keyId, caps }: Pick<HeldRequest, 'keyId' | 'caps'>,
    chargeNanoUsd: NanoUsd,
    nowMs: number,
  ): void {
    const { spendStore, ledger, alerts } = this.#deps;
    const spentSince = (capKeyId: string | null, day: number) => spendStore.since(capKeyId, day);
    alerts.caps({ keyId, caps, chargeNanoUsd }, spentSince, nowMs);
    alerts.balance(ledger.balance(), nowMs);
  }

  /**
   * Credits back what earlier runs under the same idempotency key have paid already: of all runs of a key, the customer
   * pays only the most expensive.
   * @returns the amount that was credited back
   */
  #creditBackRepeated(request: HeldRequest, charge: Entry, nowMs: number): NanoUsd {
    const { ledger, idempotencyStore } = this.#deps;
    const key = idempotencyStore.paidBy(request.requestId);
    if (!key) return nanoUsd(0);
    const chargeNanoUsd = -(charge.grantedNanoUsd + charge.paidNanoUsd);
    const back = nanoUsd(Math.min(key.paidNanoUsd, chargeNanoUsd));
    idempotencyStore.setPaid(key.lookup, Math.max(key.paidNanoUsd, chargeNanoUsd));
    if (back === 0) return back;
    // Paid credit comes back first, because the charge took it last.
    const paidNanoUsd = nanoUsd(Math.min(back, -charge.paidNanoUsd));
    const legs = { grantedNanoUsd: nanoUsd(back - paidNanoUsd), paidNanoUsd };
    ledger.append('correction', request.requestId, legs, nowMs);
    return back;
  }
}

/** The receipt that proves what was delivered of a request, the one with the most output; null: none does. */
export function provenBy(
  receipts: readonly WalletReceipt[],
  request: Pick<HeldRequest, 'stream' | 'background'>,
): WalletReceipt | null {
  const proofs = receipts.filter((receipt) => provesDelivery(receipt, request));
  return proofs.sort((a, b) => b.usage.completionTokens - a.usage.completionTokens)[0] ?? null;
}

/**
 * Whether a receipt proves that output reached the client. An answer that is not streamed leaves the edge only when it is
 * complete, so an attempt that failed on the way delivered nothing. A batch stores each answer before it pays for it, so
 * an answer that was not paid for was not stored either.
 */
function provesDelivery(
  { usage, outcome }: WalletReceipt,
  { stream, background }: Pick<HeldRequest, 'stream' | 'background'>,
): boolean {
  return (
    !background && usage.completionTokens > 0 && (stream || outcome === 'finished' || outcome === 'aborted')
  );
}
