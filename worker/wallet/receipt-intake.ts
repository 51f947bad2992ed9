/**
 * The way of receipts into a Wallet. Nearly all say what was billed: they are counted. One of a request in a page costs a
 * mark there; of a request with a hold of its own a row is kept, and of what differs, comes too early of a lost isolate,
 * or is not known.
 */
import { isSound } from '../domain/usage.ts';
import type { WalletReceipt } from '../domain/wallet.ts';
import type { Leases } from './leases.ts';
import { type Agreement, agrees, type Receipts } from './receipts.ts';
import type { Settlement } from './settlement.ts';
import { type GroupPosition, proofOf, recordOf, type SettlementGroups } from './settlement-groups.ts';
import type { WalletStore } from './store.ts';

interface Parts {
  readonly store: WalletStore;
  readonly pages: SettlementGroups;
  readonly receipts: Receipts;
  readonly settlement: Settlement;
  readonly leases: Leases;
}

/** @returns ids of requests whose receipts are to come again: their isolate tells of them within a moment */
export function takeReceipts(parts: Parts, taken: readonly WalletReceipt[], nowMs: number): string[] {
  const agreed: Agreement[] = [];
  const later = taken.filter((receipt) => take(parts, receipt, agreed, nowMs) === 'later');
  parts.receipts.agreed(agreed, nowMs);
  parts.pages.flush();
  return later.map(({ requestId }) => requestId);
}

function take(parts: Parts, receipt: WalletReceipt, agreed: Agreement[], nowMs: number): 'later' | undefined {
  const { store, pages, receipts, settlement, leases } = parts;
  const { requestId } = receipt;
  if (!isSound(receipt.usage)) return;
  const known = pages.known(requestId, nowMs);
  const request = known ? null : store.request(requestId);
  const isSearched = known === null && request === null && !pages.isSurelyNew(requestId, nowMs);
  const place = isSearched ? pages.find(requestId, nowMs) : known;
  if (place) return takeOfGroup(parts, place, receipt, agreed, nowMs);

  if (request === null && leases.willTell(receipt, nowMs)) return 'later';
  const ended = request?.state === 'held' ? null : request;
  if (!store.insertReceipt(receipt, nowMs, { settled: ended !== null })) return;
  if (ended) receipts.weigh(receipt, ended, agreed, nowMs);
  else if (request) settlement.settleOrphan(request, nowMs);
  else if (!leases.takeReceipt(receipt, nowMs)) receipts.settle(requestId, null, nowMs);
  receipts.alarmIfGivenTwice(receipt, [], nowMs);
}

function takeOfGroup(
  { store, pages, receipts }: Parts,
  place: GroupPosition,
  receipt: WalletReceipt,
  agreed: Agreement[],
  nowMs: number,
): undefined {
  const request = recordOf(place);
  const proof = proofOf(place);
  const isOwn = receipt.nodeId === request.nodeId;
  // the node has not heard that its first was taken
  if (isOwn && proof !== 'none') return;
  if (isOwn) pages.prove(place, receipt.outcome);
  if (isOwn && agrees(receipt, request)) agreed.push([receipt, request]);
  else if (store.insertReceipt(receipt, nowMs, { settled: true })) {
    place.page.hasRows = true;
    receipts.weigh(receipt, request, agreed, nowMs);
  } else return;
  if (!place.page.hasRows) return;
  receipts.alarmIfGivenTwice(receipt, proof === 'finished' ? [request.nodeId!] : [], nowMs);
}
