/**
 * Compares nodes' receipts with what was billed. Receipts that agree are counted; for those that differ, the difference
 * is written off, and drift is published where the way in which the request ended does not explain it.
 */
import type { OutboxItem } from '../domain/outbox.ts';
import {
  type DriftKind,
  driftOf,
  type SettledRequest,
  type WriteOff,
  writeOff,
} from '../domain/reconciliation.ts';
import type { RequestRecord, WalletReceipt } from '../domain/wallet.ts';
import type { OutboxStore } from './outbox-store.ts';
import type { ReceiptStore } from './receipt-store.ts';
import type { RequestStore } from './request-store.ts';
import { positionsOf, recordOf, type SettlementGroup, type SettlementGroups } from './settlement-groups.ts';
import type { WalletStore } from './store.ts';

/** How often charges are checked for missing receipts. Each check writes a row. */
const CHECK_EVERY_MS = 60_000;
/**
 * Most missing receipts that one check reports. A node that is lost with its journal leaves many; one transaction
 * need not report all.
 */
const MISSING_PER_CHECK_MAX = 500;

interface ReceiptsDeps {
  readonly store: WalletStore;
  readonly requestStore: RequestStore;
  readonly receiptStore: ReceiptStore;
  readonly groups: SettlementGroups;
  readonly outboxStore: OutboxStore;
  readonly publish: (item: OutboxItem) => void;
  /** Wakes the Wallet to publish what a request's row says. */
  readonly publishEnded: () => void;
  /** How long a charge waits for its receipt. */
  readonly graceMs: () => number;
}

/** A receipt that counts exactly what was billed, and the request that it is for. */
export type Agreement = readonly [receipt: WalletReceipt, request: RequestRecord];

export class Receipts {
  readonly #deps: ReceiptsDeps;

  constructor(deps: ReceiptsDeps) {
    this.#deps = deps;
  }

  /** Works out the write-off of each waiting receipt of a request. @param request null: the Wallet does not know it */
  settle(requestId: string, request: RequestRecord | null, nowMs: number): void {
    const agreed: Agreement[] = [];
    const { receiptStore, requestStore } = this.#deps;
    for (const receipt of receiptStore.unsettled(requestId)) {
      receiptStore.settle(receipt);
      if (receipt.nodeId === request?.nodeId) requestStore.stopWaiting(requestId);
      this.compare(receipt, request, agreed, nowMs);
    }
    this.publishAgreed(agreed, nowMs);
  }

  /** Adds a receipt that counts what was billed to `agreed`, and publishes one that differs. */
  compare(receipt: WalletReceipt, request: RequestRecord | null, agreed: Agreement[], nowMs: number): void {
    if (request && agrees(receipt, request)) agreed.push([receipt, request]);
    else this.#publishDifference(receipt, request, nowMs);
  }

  /** Does what `settle` does for each request of a new group, since their nodes' receipts may have come before it. */
  settleGroup(group: SettlementGroup, nowMs: number): void {
    const { receiptStore, groups } = this.#deps;
    const ids = group.requests.map(({ request_id }) => request_id);
    const waiting = receiptStore.unsettledBetween(ids.reduce(least), ids.reduce(greatest));
    if (waiting.length === 0) return;
    group.hasRows = true;
    for (const position of positionsOf(group)) {
      const record = recordOf(position);
      const own = waiting.filter(({ requestId }) => requestId === record.requestId);
      if (own.length === 0) continue;
      const billed = own.find(({ nodeId }) => nodeId === record.nodeId);
      if (billed) groups.prove(position, billed.outcome);
      this.settle(record.requestId, record, nowMs);
    }
    groups.flush();
  }

  /**
   * Takes the agreeing receipt of the billed node, if it came before its request has ended. A receipt in the row of the
   * request that does not agree gets a row of its own, because that of the request is about to be written without it.
   * @returns its outcome; null: none has come
   */
  takeEarly(ended: RequestRecord, nowMs: number): WalletReceipt['outcome'] | null {
    const { receiptStore } = this.#deps;
    const early = receiptStore.early(ended.requestId);
    const agreed = receiptStore.unsettled(ended.requestId).find((receipt) => countsTheSame(receipt, ended));
    const isEarly = early !== null && early.nodeId === agreed?.nodeId;
    if (early && !isEarly) receiptStore.insert(early, nowMs, { settled: false });
    if (agreed && !isEarly) receiptStore.remove(agreed);
    return agreed?.outcome ?? null;
  }

  /** Takes an agreeing receipt that came after its request had ended. */
  prove(receipt: WalletReceipt, request: RequestRecord, nowMs: number): void {
    const { requestStore, outboxStore, publishEnded, graceMs } = this.#deps;
    requestStore.prove(request, receipt.outcome, {
      late: nowMs - request.endedAtMs! > graceMs(),
      nowMs,
      receiptSeq: () => {
        publishEnded();
        return outboxStore.nextSeq();
      },
    });
  }

  /** Publishes receipts that count what was billed, one item a node. */
  publishAgreed(agreed: readonly Agreement[], nowMs: number): void {
    const { store, publish, graceMs } = this.#deps;
    for (const [nodeId, own] of Map.groupBy(agreed, ([receipt]) => receipt.nodeId)) {
      const sum = (count: (receipt: WalletReceipt) => number) =>
        own.reduce((total, [receipt]) => total + count(receipt), 0);
      publish({
        kind: 'witnessed',
        accountId: store.accountId(),
        nodeId,
        receivedAtMs: nowMs,
        receipts: own.length,
        promptTokens: sum(({ usage }) => usage.promptTokens),
        completionTokens: sum(({ usage }) => usage.completionTokens),
        newestEndedAtMs: Math.max(...own.map(([, request]) => request.endedAtMs!)),
        late: own.flatMap(([, request]) =>
          nowMs - request.endedAtMs! > graceMs() ? [request.requestId] : [],
        ),
      });
    }
  }

  /**
   * Publishes drift when two nodes say that they gave the whole answer of one request.
   * @param otherNodeIds nodes that are known to say so without a row in `receipt`
   */
  checkGivenTwice(receipt: WalletReceipt, otherNodeIds: readonly string[], nowMs: number): void {
    if (receipt.outcome !== 'finished') return;
    const nodes = [...this.#deps.receiptStore.finishedAt(receipt.requestId), ...otherNodeIds];
    const other = nodes.find((nodeId) => nodeId !== receipt.nodeId);
    if (other !== undefined) this.#publishDrift('double', receipt, { alsoBy: other }, nowMs);
  }

  /** Publishes drift when an engine generated more than the request allowed, which no customer is billed for. */
  checkOverrun(receipt: WalletReceipt, nowMs: number): void {
    const { overrunTokens = 0, usage } = receipt;
    if (overrunTokens === 0) return;
    const detail = { overrun: overrunTokens, countedCompletion: usage.completionTokens };
    this.#publishDrift('overrun', receipt, detail, nowMs);
  }

  /** Publishes drift for charges whose node has sent no receipt in time. */
  checkMissing(nowMs: number): void {
    const { receiptStore, requestStore, groups, graceMs } = this.#deps;
    const span = { afterMs: receiptStore.checkedToMs(), toMs: nowMs - graceMs() };
    if (span.toMs - span.afterMs < CHECK_EVERY_MS || !this.#hasEnds(span)) return;
    // Charges past the maximum are left for the next check.
    const grouped = groups.unproved(span, MISSING_PER_CHECK_MAX);
    const rows = requestStore.unproved({ ...span, toMs: grouped.toMs }, MISSING_PER_CHECK_MAX);
    const isAll = rows.length < MISSING_PER_CHECK_MAX;
    const toMs = isAll ? grouped.toMs : rows.at(-1)!.endedAtMs! - 1;
    const missing = [...rows, ...grouped.requests.filter(({ endedAtMs }) => endedAtMs! <= toMs)];
    for (const { requestId, nodeId, usage } of missing) {
      const detail = { billedPrompt: usage.promptTokens, billedCompletion: usage.completionTokens };
      this.#publishDrift('receipt_missing', { requestId, nodeId: nodeId ?? '' }, detail, nowMs);
      requestStore.stopWaiting(requestId);
    }
    receiptStore.setCheckedTo(toMs);
  }

  /** Whether a check of that time would find a request without its receipt, or a group, which it would look through. */
  #hasEnds({ afterMs, toMs }: { afterMs: number; toMs: number }): boolean {
    const { requestStore, groups } = this.#deps;
    return [requestStore.nextUnprovedMs(), groups.nextMs(afterMs)].some(
      (atMs) => atMs !== null && atMs <= toMs,
    );
  }

  /** When `checkMissing` is due next; null: since the last check nothing has ended whose receipt is missing. */
  nextCheckMs(): number | null {
    const { requestStore, receiptStore, groups, graceMs } = this.#deps;
    const checkedToMs = receiptStore.checkedToMs();
    const ends = [requestStore.nextUnprovedMs(), groups.nextMs(checkedToMs)].filter((atMs) => atMs !== null);
    return ends.length === 0
      ? null
      : Math.max(Math.min(...ends), checkedToMs + CHECK_EVERY_MS) + graceMs() + 1;
  }

  #publishDifference(receipt: WalletReceipt, request: RequestRecord | null, nowMs: number): void {
    const { store, publish, graceMs } = this.#deps;
    const settled = request && settledOf(request);
    const off = settled && writeOff(receipt, settled);
    publish({
      kind: 'receipt',
      accountId: store.accountId(),
      receivedAtMs: nowMs,
      receipt,
      writeOff: off,
      late: request !== null && nowMs - request.endedAtMs! > graceMs(),
    });
    const drift = off && settled && driftOf(off, receipt, settled);
    if (drift === null || settled === null) return;
    const detail = {
      billedPrompt: settled.billed.promptTokens,
      billedCached: settled.billed.cachedTokens,
      billedCompletion: settled.billed.completionTokens,
      billedReasoning: settled.billed.reasoningTokens,
      countedPrompt: receipt.usage.promptTokens,
      countedCached: receipt.usage.cachedTokens,
      countedCompletion: receipt.usage.completionTokens,
      countedReasoning: receipt.usage.reasoningTokens,
    };
    this.#publishDrift(drift, receipt, detail, nowMs);
  }

  #publishDrift(
    drift: DriftKind,
    { requestId, nodeId }: { requestId: string; nodeId: string },
    detail: Record<string, string | number>,
    foundAtMs: number,
  ): void {
    const { store, publish } = this.#deps;
    publish({ kind: 'drift', accountId: store.accountId(), drift, requestId, nodeId, detail, foundAtMs });
  }
}

/** Whether a receipt is from the billed node and counts what was billed. A request that cost nothing agrees with none. */
export function agrees(receipt: WalletReceipt, request: RequestRecord): boolean {
  const isBilled = receipt.nodeId === request.nodeId && request.chargeNanoUsd > 0;
  // A receipt that is a finding by the request's ending alone must not pass as agreeing.
  const settled = settledOf(request);
  const off = writeOff(receipt, settled);
  return isBilled && isEven(off) && driftOf(off, receipt, settled) === null;
}

/**
 * Whether a request's row can stand for its receipt: an agreeing one of an agent that was killed may count less than was billed,
 * and sums of receipts are of what nodes have counted.
 */
export function countsTheSame(receipt: WalletReceipt, request: RequestRecord): boolean {
  const { promptTokens, completionTokens } = receipt.usage;
  const { usage } = request;
  const isSame = promptTokens === usage.promptTokens && completionTokens === usage.completionTokens;
  return isSame && agrees(receipt, request);
}

function isEven({ promptTokens, completionTokens }: WriteOff): boolean {
  return promptTokens === 0 && completionTokens === 0;
}

function settledOf(request: RequestRecord): SettledRequest {
  const { state, nodeId, usage } = request;
  return { state, ending: request.ending!, nodeId, billed: usage };
}

function least(a: string, b: string): string {
  return a < b ? a : b;
}

function greatest(a: string, b: string): string {
  return a > b ? a : b;
}
