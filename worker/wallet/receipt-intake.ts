/**
 * Takes nodes' receipts into a Wallet. A receipt that matches its charge only sets a flag at the request or its settlement
 * group. Receipts that differ from the charge, come before their request has ended, or belong to no known request are
 * stored as rows.
 */
import { isSound } from '../domain/usage.ts';
import type { RequestRecord, WalletReceipt } from '../domain/wallet.ts';
import type { Leases } from './leases.ts';
import type { ReceiptStore } from './receipt-store.ts';
import { type Agreement, agrees, countsTheSame, type Receipts } from './receipts.ts';
import type { RequestStore } from './request-store.ts';
import type { WalletSettlement } from './settlement.ts';
import { type GroupPosition, proofOf, recordOf, type SettlementGroups } from './settlement-groups.ts';

interface IntakeDeps {
  readonly requestStore: RequestStore;
  readonly receiptStore: ReceiptStore;
  readonly groups: SettlementGroups;
  readonly receipts: Receipts;
  readonly settlement: WalletSettlement;
  readonly leases: Leases;
}

/**
 * @returns ids of requests whose receipts are to be sent again: their isolate reports the requests within moments, and
 *   then the receipts can be compared without being stored
 */
export function takeReceipts(deps: IntakeDeps, taken: readonly WalletReceipt[], nowMs: number): string[] {
  const agreed: Agreement[] = [];
  const deferred = taken.filter((receipt) => take(deps, receipt, agreed, nowMs) === 'deferred');
  for (const receipt of taken) if (!deferred.includes(receipt)) deps.receipts.checkOverrun(receipt, nowMs);
  deps.receipts.publishAgreed(agreed, nowMs);
  deps.groups.flush();
  return deferred.map(({ requestId }) => requestId);
}

function take(
  deps: IntakeDeps,
  receipt: WalletReceipt,
  agreed: Agreement[],
  nowMs: number,
): 'deferred' | undefined {
  const { requestStore, receiptStore, groups, receipts, settlement, leases } = deps;
  const { requestId } = receipt;
  if (!isSound(receipt.usage)) return;
  const indexed = groups.indexed(requestId, nowMs);
  const request = indexed ? null : requestStore.find(requestId);
  const needsSearch = indexed === null && request === null && !groups.isSurelyNew(requestId, nowMs);
  const position = needsSearch ? groups.find(requestId, nowMs) : indexed;
  if (position) return takeOfGroup(deps, position, receipt, agreed, nowMs);

  if (request === null && leases.willReport(receipt, nowMs)) return 'deferred';
  if (request && request.state !== 'held') return takeOfEnded(deps, request, receipt, agreed, nowMs);
  if (request && receiptStore.has(requestId, receipt.nodeId)) return;
  const isKept = request !== null && receiptStore.insertEarly(receipt);
  if (!isKept && !receiptStore.insert(receipt, nowMs, { settled: false })) return;
  if (request) settlement.settleOrphan(request, nowMs);
  else if (!leases.takeReceipt(receipt, nowMs)) receipts.settle(requestId, null, nowMs);
  receipts.checkGivenTwice(receipt, [], nowMs);
}

function takeOfEnded(
  { requestStore, receiptStore, receipts }: IntakeDeps,
  ended: RequestRecord,
  receipt: WalletReceipt,
  agreed: Agreement[],
  nowMs: number,
): undefined {
  const { requestId } = receipt;
  const proof = requestStore.proofOf(requestId);
  const isOwn = receipt.nodeId === ended.nodeId;
  // The node sends its receipt again when it missed the edge's reply to the first.
  if (receiptStore.has(requestId, receipt.nodeId) || (isOwn && proof !== 'none')) return;
  if (isOwn && countsTheSame(receipt, ended)) receipts.prove(receipt, ended, nowMs);
  else {
    receiptStore.insert(receipt, nowMs, { settled: true });
    if (isOwn) requestStore.stopWaiting(requestId);
    receipts.compare(receipt, ended, agreed, nowMs);
  }
  receipts.checkGivenTwice(receipt, proof === 'finished' ? [ended.nodeId!] : [], nowMs);
}

function takeOfGroup(
  { receiptStore, groups, receipts }: IntakeDeps,
  position: GroupPosition,
  receipt: WalletReceipt,
  agreed: Agreement[],
  nowMs: number,
): undefined {
  const request = recordOf(position);
  const proof = proofOf(position);
  const isOwn = receipt.nodeId === request.nodeId;
  // The node sends its receipt again when it missed the edge's reply to the first.
  if (isOwn && proof !== 'none') return;
  if (isOwn) groups.prove(position, receipt.outcome);
  if (isOwn && agrees(receipt, request)) agreed.push([receipt, request]);
  else if (receiptStore.insert(receipt, nowMs, { settled: true })) {
    position.group.hasRows = true;
    receipts.compare(receipt, request, agreed, nowMs);
  } else return;
  if (!position.group.hasRows) return;
  receipts.checkGivenTwice(receipt, proof === 'finished' ? [request.nodeId!] : [], nowMs);
}
