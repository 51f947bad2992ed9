/** What nodes' receipts say against what was billed: counted where both agree, written off or alarmed of where they differ. */
import type { OutboxItem } from '../domain/outbox.ts';
import { type DriftKind, isDrift, type Settled, type WriteOff, writeOff } from '../domain/reconciliation.ts';
import type { RequestRecord, WalletReceipt } from '../domain/wallet.ts';
import { positionsOf, recordOf, type SettlementGroup, type SettlementGroups } from './settlement-groups.ts';
import type { WalletStore } from './store.ts';

/** How often it is looked for receipts that are missing; each look writes a row. */
const PROOF_EVERY_MS = 60_000;
/** A node that was lost with its journal leaves many; one transaction need not tell all of them. */
const MISSING_PER_LOOK_MAX = 500;

interface Parts {
  readonly store: WalletStore;
  readonly pages: SettlementGroups;
  readonly tell: (item: OutboxItem) => void;
  /** how long a receipt is waited for */
  readonly graceMs: () => number;
}

/** A receipt that says what was billed, and for what. */
export type Agreement = readonly [receipt: WalletReceipt, request: RequestRecord];

export class Receipts {
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** Works out what of each waiting receipt of a request nobody was billed for. @param request null: it is not known */
  settle(requestId: string, request: RequestRecord | null, nowMs: number): void {
    const agreed: Agreement[] = [];
    for (const receipt of this.#parts.store.unsettledReceipts(requestId)) {
      this.#parts.store.settleReceipt(receipt);
      this.weigh(receipt, request, agreed, nowMs);
    }
    this.agreed(agreed, nowMs);
  }

  /** Adds a receipt that says what was billed to `agreed`; tells of one that does not. */
  weigh(receipt: WalletReceipt, request: RequestRecord | null, agreed: Agreement[], nowMs: number): void {
    if (request && agrees(receipt, request)) agreed.push([receipt, request]);
    else this.#differs(receipt, request, nowMs);
  }

  /** As `settle`, for the requests of a page; their nodes' receipts may have come before. */
  settlePage(page: SettlementGroup, nowMs: number): void {
    const { store, pages } = this.#parts;
    const ids = page.requests.map(({ request_id }) => request_id);
    const waiting = store.unsettledBetween(ids.reduce(least), ids.reduce(greatest));
    if (waiting.length === 0) return;
    page.hasRows = true;
    for (const place of positionsOf(page)) {
      const record = recordOf(place);
      const own = waiting.filter(({ requestId }) => requestId === record.requestId);
      if (own.length === 0) continue;
      const billed = own.find(({ nodeId }) => nodeId === record.nodeId);
      if (billed) pages.prove(place, billed.outcome);
      this.settle(record.requestId, record, nowMs);
    }
    pages.flush();
  }

  /** Tells of receipts that say what was billed, those of a node together. */
  agreed(agreed: readonly Agreement[], nowMs: number): void {
    const { store, tell, graceMs } = this.#parts;
    for (const [nodeId, own] of Map.groupBy(agreed, ([receipt]) => receipt.nodeId)) {
      const sum = (of: (receipt: WalletReceipt) => number) => own.reduce((all, [each]) => all + of(each), 0);
      tell({
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

  /** Two nodes that say they gave the whole answer of one request. @param alsoBy who is known to say so */
  alarmIfGivenTwice(receipt: WalletReceipt, alsoBy: readonly string[], nowMs: number): void {
    if (receipt.outcome !== 'finished') return;
    const nodes = [...this.#parts.store.finishedAt(receipt.requestId), ...alsoBy];
    const other = nodes.find((nodeId) => nodeId !== receipt.nodeId);
    if (other !== undefined) this.#alarm('double', receipt, { alsoBy: other }, nowMs);
  }

  /** Alerts of charges for which no node has sent a receipt in time. */
  miss(nowMs: number): void {
    const { store, pages, graceMs } = this.#parts;
    const span = { afterMs: store.proofCheckedToMs(), toMs: nowMs - graceMs() };
    if (span.toMs - span.afterMs < PROOF_EVERY_MS) return;
    // what does not fit is looked at next time
    const paged = pages.unproved(span, MISSING_PER_LOOK_MAX);
    const rows = store.chargedWithoutReceipt({ ...span, toMs: paged.toMs }, MISSING_PER_LOOK_MAX);
    const isAll = rows.length < MISSING_PER_LOOK_MAX;
    const toMs = isAll ? paged.toMs : rows.at(-1)!.endedAtMs! - 1;
    const missing = [...rows, ...paged.requests.filter(({ endedAtMs }) => endedAtMs! <= toMs)];
    for (const { requestId, nodeId, usage } of missing) {
      const detail = { billedPrompt: usage.promptTokens, billedCompletion: usage.completionTokens };
      this.#alarm('receipt_missing', { requestId, nodeId: nodeId ?? '' }, detail, nowMs);
    }
    store.setProofCheckedTo(toMs);
  }

  /** When there will be something to look for; null: nothing was charged since the last look. */
  nextLookMs(): number | null {
    const { store, pages, graceMs } = this.#parts;
    const checkedToMs = store.proofCheckedToMs();
    const ends = [store.nextEndMs(checkedToMs), pages.nextMs(checkedToMs)].filter((atMs) => atMs !== null);
    return ends.length === 0
      ? null
      : Math.max(Math.min(...ends), checkedToMs + PROOF_EVERY_MS) + graceMs() + 1;
  }

  #differs(receipt: WalletReceipt, request: RequestRecord | null, nowMs: number): void {
    const { store, tell, graceMs } = this.#parts;
    const settled = request && settledOf(request);
    const off = settled && writeOff(receipt, settled);
    tell({
      kind: 'receipt',
      accountId: store.accountId(),
      receivedAtMs: nowMs,
      receipt,
      writeOff: off,
      late: request !== null && nowMs - request.endedAtMs! > graceMs(),
    });
    if (off === null || settled === null || !isDrift(off, receipt, settled)) return;
    const detail = {
      billedPrompt: settled.billed.promptTokens,
      billedCompletion: settled.billed.completionTokens,
      countedPrompt: receipt.usage.promptTokens,
      countedCompletion: receipt.usage.completionTokens,
    };
    this.#alarm('tokens', receipt, detail, nowMs);
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
}

/** Whether a receipt is of the node that was billed, and counts what was billed. What cost nothing has no witness. */
export function agrees(receipt: WalletReceipt, request: RequestRecord): boolean {
  const isBilled = receipt.nodeId === request.nodeId && request.chargeNanoUsd > 0;
  return isBilled && isEven(writeOff(receipt, settledOf(request)));
}

function isEven({ promptTokens, completionTokens }: WriteOff): boolean {
  return promptTokens === 0 && completionTokens === 0;
}

function settledOf(request: RequestRecord): Settled {
  const { state, nodeId, usage } = request;
  return { state, ending: request.ending!, nodeId, billed: usage };
}

function least(a: string, b: string): string {
  return a < b ? a : b;
}

function greatest(a: string, b: string): string {
  return a > b ? a : b;
}
