/**
 * How a hold ends: a charge or nothing, by its edge or, when that has vanished, by the node's receipt; and how receipts
 * meet what was billed. Every call runs in the caller's transaction.
 */

import type { OutboxItem } from '../db/projection.ts';
import { coveredUsage, type Ending } from '../domain/hold.ts';
import { chargeLegs, type Entry } from '../domain/ledger.ts';
import { dayOf } from '../domain/limits.ts';
import { type NanoUsd, nanoUsd } from '../domain/money.ts';
import { chargeFor } from '../domain/pricing.ts';
import { type DriftKind, isDrift, writeOff } from '../domain/reconciliation.ts';
import { isSound, NO_USAGE } from '../domain/usage.ts';
import type { RequestRecord, WalletReceipt } from '../domain/wallet.ts';
import { type HeldRequest, publicRecord } from './held-request.ts';
import type { Ledger } from './ledger.ts';
import type { ReplayStore } from './replay-store.ts';
import type { Traffic } from './traffic.ts';
import type { WalletStore } from './wallet-store.ts';
import type { Watcher } from './watcher.ts';

/** How often it is looked for receipts that are missing; each look writes a row. */
const PROOF_EVERY_MS = 60_000;
/** A node that was lost with its journal leaves many; one transaction need not tell all of them. */
const MISSING_PER_LOOK_MAX = 500;

export type HoldEnd = Pick<RequestRecord, 'state' | 'nodeId' | 'usage' | 'ttftMs'> & { ending: Ending };

interface Parts {
  readonly store: WalletStore;
  readonly ledger: Ledger;
  readonly replays: ReplayStore;
  readonly traffic: Traffic;
  readonly watcher: Watcher;
  readonly tell: (item: OutboxItem) => void;
  /** how long a receipt is waited for */
  readonly graceMs: () => number;
}

export class Settlement {
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** The one place where a hold becomes a charge or nothing. */
  resolve(request: HeldRequest, end: HoldEnd, nowMs: number): RequestRecord {
    const { store, ledger, traffic, watcher, tell } = this.#parts;
    const usage = coveredUsage(end.usage, request.heldNanoUsd, request.price);
    const chargeNanoUsd = chargeFor(usage, request.price);
    store.changeHeld(-request.heldNanoUsd);
    const entry =
      chargeNanoUsd === 0
        ? null
        : ledger.append('charge', request.requestId, chargeLegs(store.head(), chargeNanoUsd), nowMs);
    const ended: RequestRecord = {
      ...publicRecord(request),
      ...end,
      usage,
      endedAtMs: nowMs,
      heldNanoUsd: nanoUsd(0),
      chargeNanoUsd,
      entrySeq: entry?.seq ?? null,
    };
    const backNanoUsd = entry ? this.#giveBackRepeated(request, entry, nowMs) : 0;
    if (request.token) {
      const use = { spentNanoUsd: chargeNanoUsd - backNanoUsd, heldNanoUsd: -request.heldNanoUsd };
      store.changeTokenUse(request.token.id, use, nowMs);
    }
    if (entry) {
      store.addSpend(request.keyId, dayOf(nowMs), chargeNanoUsd);
      const paidNanoUsd = nanoUsd(chargeNanoUsd - backNanoUsd);
      const spentSince = (keyId: string | null, day: number) => store.spentSince(keyId, day);
      watcher.caps({ ...request, chargeNanoUsd: paidNanoUsd }, spentSince, nowMs);
      watcher.balance(ledger.balance(), nowMs);
    }
    store.endRequest(ended);
    traffic.end(request, ended);
    const grantedNanoUsd = nanoUsd(entry === null ? 0 : 0 - entry.grantedNanoUsd);
    tell({ kind: 'usage', accountId: store.accountId(), request: ended, grantedNanoUsd });
    this.#settleReceipts(request.requestId, ended, nowMs);
    return ended;
  }

  takeReceipt(receipt: WalletReceipt, nowMs: number): void {
    const { store } = this.#parts;
    if (!isSound(receipt.usage) || !store.insertReceipt(receipt, nowMs)) return;
    const request = store.request(receipt.requestId);
    if (request?.state === 'held') this.settleOrphan(request, nowMs);
    else this.#settleReceipts(receipt.requestId, request, nowMs);
    this.#alarmIfGivenTwice(receipt, nowMs);
  }

  /**
   * A hold whose edge has not been heard of: the node's receipt decides as soon as one shows output;
   * without one it is voided when the grace is over, because nobody pays for what cannot be proved.
   */
  settleOrphan(request: HeldRequest, nowMs: number): void {
    if (nowMs <= request.leaseUntilMs) return;
    const proof = this.#parts.store
      .unsettledReceipts(request.requestId)
      .filter((receipt) => provesDelivery(receipt, request))
      .sort((a, b) => b.usage.completionTokens - a.usage.completionTokens)[0];
    if (proof) {
      const { nodeId, usage, ttftMs } = proof;
      this.resolve(request, { state: 'expired', ending: 'settled_by_receipt', nodeId, usage, ttftMs }, nowMs);
    } else if (nowMs > request.leaseUntilMs + this.#parts.graceMs()) {
      const nothing = { nodeId: null, usage: NO_USAGE, ttftMs: null };
      this.resolve(request, { state: 'expired', ending: 'unproved', ...nothing }, nowMs);
    }
  }

  /** Alerts of charges for which no node has sent a receipt in time. */
  missReceipts(nowMs: number): void {
    const { store, graceMs } = this.#parts;
    const span = { afterMs: store.proofCheckedToMs(), toMs: nowMs - graceMs() };
    if (span.toMs - span.afterMs < PROOF_EVERY_MS) return;
    const missing = store.chargedWithoutReceipt(span, MISSING_PER_LOOK_MAX);
    for (const { requestId, nodeId, usage } of missing) {
      const detail = { billedPrompt: usage.promptTokens, billedCompletion: usage.completionTokens };
      this.#alarm('receipt_missing', { requestId, nodeId: nodeId ?? '' }, detail, nowMs);
    }
    // what did not fit is looked at next time
    const isAll = missing.length < MISSING_PER_LOOK_MAX;
    store.setProofCheckedTo(isAll ? span.toMs : missing.at(-1)!.endedAtMs! - 1);
  }

  /** When there will be something to look for; null: nothing was charged since the last look. */
  nextLookMs(): number | null {
    const { store, graceMs } = this.#parts;
    const checkedToMs = store.proofCheckedToMs();
    const endMs = store.nextEndMs(checkedToMs);
    return endMs === null ? null : Math.max(endMs, checkedToMs + PROOF_EVERY_MS) + graceMs() + 1;
  }

  /** Works out what of each waiting receipt nobody was billed for. */
  #settleReceipts(requestId: string, request: RequestRecord | null, nowMs: number): void {
    const { store, tell, graceMs } = this.#parts;
    const settled = request && { ...request, ending: request.ending!, billed: request.usage };
    for (const receipt of store.unsettledReceipts(requestId)) {
      store.settleReceipt(receipt);
      const off = writeOff(receipt, settled);
      tell({
        kind: 'receipt',
        accountId: store.accountId(),
        receivedAtMs: nowMs,
        receipt,
        writeOff: settled && off,
        late: request !== null && nowMs - request.endedAtMs! > graceMs(),
      });
      if (!settled || !isDrift(off, receipt, settled)) continue;
      const detail = {
        billedPrompt: settled.billed.promptTokens,
        billedCompletion: settled.billed.completionTokens,
        countedPrompt: receipt.usage.promptTokens,
        countedCompletion: receipt.usage.completionTokens,
      };
      this.#alarm('tokens', receipt, detail, nowMs);
    }
  }

  #alarmIfGivenTwice(receipt: WalletReceipt, nowMs: number): void {
    if (receipt.outcome !== 'finished') return;
    const nodes = this.#parts.store.finishedAt(receipt.requestId);
    const other = nodes.find((nodeId) => nodeId !== receipt.nodeId);
    if (other !== undefined) this.#alarm('double', receipt, { alsoBy: other }, nowMs);
  }

  #alarm(
    drift: DriftKind,
    { requestId, nodeId }: { requestId: string; nodeId: string },
    detail: Record<string, string | number>,
    foundAtMs: number,
  ): void {
    const { store, tell } = this.#parts;
    tell({ kind: 'drift', accountId: store.accountId(), drift, requestId, nodeId, detail, foundAtMs });
  }

  /**
   * A request that runs again for its idempotency key is paid only as far as it cost more than the runs before it:
   * of all runs together the customer pays the dearest.
   * @returns what was given back
   */
  #giveBackRepeated(request: HeldRequest, charge: Entry, nowMs: number): NanoUsd {
    const { store, ledger, replays } = this.#parts;
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
    store.addSpend(request.keyId, dayOf(nowMs), nanoUsd(-back));
    return back;
  }
}

/**
 * A whole answer leaves the edge only when it is complete: an attempt that failed on the way reached nobody. The answer
 * of a batch is kept before it is paid for, so one that nobody paid for is one that nobody has.
 */
function provesDelivery({ usage, outcome }: WalletReceipt, { stream, background }: HeldRequest): boolean {
  return (
    !background && usage.completionTokens > 0 && (stream || outcome === 'finished' || outcome === 'aborted')
  );
}
