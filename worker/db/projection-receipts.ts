/**
 * Receipts that get a row of their own, compared with what D1 knows of their requests: D1 and the archive remember
 * requests that a Wallet has already forgotten.
 */
import type { Ending, RequestState } from '../domain/hold.ts';
import { timeOfId } from '../domain/ids.ts';
import type { OutboxItemOf, UsageRecord } from '../domain/outbox.ts';
import {
  type SettledRequest,
  type WriteOff,
  type WriteOffReason,
  writeOff,
} from '../domain/reconciliation.ts';
import { retentionMs } from '../domain/retention.ts';
import type { Usage } from '../domain/usage.ts';
import type { WalletReceipt } from '../domain/wallet.ts';
import type { DueRequest } from './archive.ts';
import type { Database } from './client.ts';

export interface SettledReceipt {
  readonly receipt: WalletReceipt;
  readonly receivedAtMs: number;
  readonly writeOff: WriteOff;
  /** It came after a `receipt_missing` finding had been written for it. */
  readonly late: boolean;
  /**
   * Its request was billed, and this node's answer is the one that was billed: it counts towards
   * `witnessed_requests`.
   */
  readonly receiptMatched: boolean;
  /** When its request ended; null: D1 knows no such request. */
  readonly endedAtMs: number | null;
}

/** The state in D1 of a receipt that is about to be written. */
export interface KnownReceipt {
  readonly requestId: string;
  /** The node that sent the receipt. */
  readonly nodeId: string;
  /** null: D1 has no such request yet. */
  readonly request: KnownRequest | null;
  /** The receipt already has a row. */
  readonly isStored: boolean;
  /** A `receipt_missing` finding exists or existed for it. */
  readonly wasReportedMissing: boolean;
}

type KnownRequest = SettledRequest & { readonly chargeNanoUsd: number; readonly endedAtMs: number };

interface Row extends Usage {
  requestId: string;
  nodeId: string;
  billedNodeId: string | null;
  state: RequestState | null;
  ending: Ending;
  endedAtMs: number;
  chargeNanoUsd: number;
  isStored: number;
  wasReportedMissing: number;
}

const KNOWN = `
  SELECT sent.value ->> 0 AS requestId, sent.value ->> 1 AS nodeId, u.node_id AS billedNodeId, u.state, u.ending,
    u.ended_at_ms AS endedAtMs, u.charge_nano_usd AS chargeNanoUsd, u.prompt_tokens AS promptTokens,
    u.cached_tokens AS cachedTokens, u.completion_tokens AS completionTokens, u.reasoning_tokens AS reasoningTokens,
    EXISTS (SELECT 1 FROM node_receipt AS r
      WHERE r.request_id = sent.value ->> 0 AND r.node_id = sent.value ->> 1) AS isStored,
    EXISTS (SELECT 1 FROM drift AS d WHERE d.request_id = sent.value ->> 0 AND d.node_id = sent.value ->> 1
      AND d.kind = 'receipt_missing') AS wasReportedMissing
  FROM json_each(?2) AS sent
  LEFT JOIN usage_event AS u ON u.account_id = ?1 AND u.request_id = sent.value ->> 0`;

/** Looks up a request that D1 has no more; null: the archive has none with this id, or cannot be read. */
export type FindArchived = (which: { accountId: string; requestId: string }) => Promise<DueRequest | null>;

/** @param findArchived is asked only about requests that are old enough to be archived */
export async function lookUpReceipts(
  db: Database,
  { accountId, items }: { accountId: string; items: readonly OutboxItemOf<'receipt'>[] },
  findArchived: FindArchived,
): Promise<KnownReceipt[]> {
  const keys = JSON.stringify(items.map(({ receipt }) => [receipt.requestId, receipt.nodeId]));
  const { results } = await db.$client.prepare(KNOWN).bind(accountId, keys).all<Row>();
  const known = results.map((row) => ({
    requestId: row.requestId,
    nodeId: row.nodeId,
    request: row.state === null ? null : { ...row, state: row.state, nodeId: row.billedNodeId, billed: row },
    isStored: row.isStored === 1,
    wasReportedMissing: row.wasReportedMissing === 1,
  }));
  return Promise.all(
    known.map(async (each) => {
      const { receivedAtMs } = items.find(({ receipt }) => receipt.requestId === each.requestId)!;
      const isOld = receivedAtMs - timeOfId(each.requestId) > retentionMs('request_in_database');
      if (each.request !== null || !isOld) return each;
      const archived = await findArchived({ accountId, requestId: each.requestId });
      return archived ? withArchived(each, archived) : each;
    }),
  );
}

function withArchived(known: KnownReceipt, { event, receipts, findings }: DueRequest): KnownReceipt {
  const isOfNode = ({ nodeId }: { nodeId: string }) => nodeId === known.nodeId;
  const isMissing = findings.filter(isOfNode).some(({ kind }) => kind === 'receipt_missing');
  return {
    ...known,
    request: { ...event, billed: event },
    isStored: known.isStored || receipts.some(isOfNode),
    wasReportedMissing: known.wasReportedMissing || isMissing,
  };
}

/**
 * Decides for each receipt which row it becomes; a receipt that says nothing new becomes none.
 * @param batch.requests the requests that are published in the same batch, which D1 does not have yet
 */
export function settledReceipts(
  batch: { requests: readonly UsageRecord[]; items: readonly OutboxItemOf<'receipt'>[] },
  known: readonly KnownReceipt[],
): SettledReceipt[] {
  const requests = new Map(batch.requests.map((request) => [request.requestId, request]));
  const keyOf = ({ requestId, nodeId }: { requestId: string; nodeId: string }) => `${requestId} ${nodeId}`;
  const knownByKey = new Map(known.map((each) => [keyOf(each), each]));
  return batch.items.flatMap((item): SettledReceipt[] => {
    const { receipt, receivedAtMs } = item;
    const earlier = knownByKey.get(keyOf(receipt))!;
    const request = earlier.request ?? knownFrom(requests.get(receipt.requestId));
    const receiptMatched = request !== null && request.chargeNanoUsd > 0 && request.nodeId === receipt.nodeId;
    const endedAtMs = request?.endedAtMs ?? null;
    if (item.writeOff !== null) {
      // D1 may get a receipt before its request: then only the write-off's reason tells whether the node was billed.
      const presumedMatched = request === null && isOfBilledNode(item.writeOff.reason);
      return [
        { ...item, writeOff: item.writeOff, receiptMatched: receiptMatched || presumedMatched, endedAtMs },
      ];
    }
    // A Wallet forgets a request and its receipts a day after the request's end, so a node that resends a receipt
    // later looks unknown to it: the receipt says nothing new.
    const isResent = earlier.request !== null && receiptMatched && !earlier.wasReportedMissing;
    if (earlier.isStored || isResent) return [];
    const late = request !== null;
    return [{ receipt, receivedAtMs, writeOff: writeOff(receipt, request), late, receiptMatched, endedAtMs }];
  });
}

function knownFrom(request: UsageRecord | undefined): KnownRequest | null {
  return request
    ? { ...request, ending: request.ending!, endedAtMs: request.endedAtMs!, billed: request.usage }
    : null;
}

function isOfBilledNode(reason: WriteOffReason | null): boolean {
  return reason !== 'retried_elsewhere' && reason !== 'voided' && reason !== 'unknown_request';
}
