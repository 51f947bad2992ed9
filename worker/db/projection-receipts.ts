/** Receipts that have rows, beside what D1 knows of their requests: it remembers those that a Wallet has forgotten. */
import type { Ending, RequestState } from '../domain/hold.ts';
import type { OutboxItemOf, UsageRecord } from '../domain/outbox.ts';
import { type Settled, type WriteOff, type WriteOffReason, writeOff } from '../domain/reconciliation.ts';
import type { Usage } from '../domain/usage.ts';
import type { WalletReceipt } from '../domain/wallet.ts';
import type { Database } from './client.ts';

export interface SettledReceipt {
  readonly receipt: WalletReceipt;
  readonly receivedAtMs: number;
  readonly writeOff: WriteOff;
  /** it came after its absence had been alerted of */
  readonly late: boolean;
  /** of a request that was billed, and by the node whose answer it was */
  readonly isWitness: boolean;
  /** when its request had ended; null: no such request is known */
  readonly endedAtMs: number | null;
}

/** What D1 knows of a receipt that it is told of. */
export interface Known {
  readonly requestId: string;
  /** of the receipt */
  readonly nodeId: string;
  /** null: not told of such a request */
  readonly request: KnownRequest | null;
  /** the receipt has a row already */
  readonly isKept: boolean;
  /** its absence is, or was, a finding */
  readonly wasMissed: boolean;
}

type KnownRequest = Settled & { readonly chargeNanoUsd: number; readonly endedAtMs: number };

interface Row extends Usage {
  requestId: string;
  nodeId: string;
  billedNodeId: string | null;
  state: RequestState | null;
  ending: Ending;
  endedAtMs: number;
  chargeNanoUsd: number;
  isKept: number;
  wasMissed: number;
}

const KNOWN = `
  SELECT sent.value ->> 0 AS requestId, sent.value ->> 1 AS nodeId, u.node_id AS billedNodeId, u.state, u.ending,
    u.ended_at_ms AS endedAtMs, u.charge_nano_usd AS chargeNanoUsd, u.prompt_tokens AS promptTokens,
    u.cached_tokens AS cachedTokens, u.completion_tokens AS completionTokens, u.reasoning_tokens AS reasoningTokens,
    EXISTS (SELECT 1 FROM node_receipt AS r
      WHERE r.request_id = sent.value ->> 0 AND r.node_id = sent.value ->> 1) AS isKept,
    EXISTS (SELECT 1 FROM drift AS d WHERE d.request_id = sent.value ->> 0 AND d.node_id = sent.value ->> 1
      AND d.kind = 'receipt_missing') AS wasMissed
  FROM json_each(?2) AS sent
  LEFT JOIN usage_event AS u ON u.account_id = ?1 AND u.request_id = sent.value ->> 0`;

export async function askReceipts(
  db: Database,
  { accountId, items }: { accountId: string; items: readonly OutboxItemOf<'receipt'>[] },
): Promise<Known[]> {
  const names = JSON.stringify(items.map(({ receipt }) => [receipt.requestId, receipt.nodeId]));
  const { results } = await db.$client.prepare(KNOWN).bind(accountId, names).all<Row>();
  return results.map((row) => ({
    requestId: row.requestId,
    nodeId: row.nodeId,
    request: row.state === null ? null : { ...row, state: row.state, nodeId: row.billedNodeId, billed: row },
    isKept: row.isKept === 1,
    wasMissed: row.wasMissed === 1,
  }));
}

/** @param told.requests those that D1 is told of at the same time */
export function settledReceipts(
  told: { requests: readonly UsageRecord[]; items: readonly OutboxItemOf<'receipt'>[] },
  known: readonly Known[],
): SettledReceipt[] {
  const requests = new Map(told.requests.map((request) => [request.requestId, request]));
  const nameOf = ({ requestId, nodeId }: { requestId: string; nodeId: string }) => `${requestId} ${nodeId}`;
  const before = new Map(known.map((each) => [nameOf(each), each]));
  return told.items.flatMap((item): SettledReceipt[] => {
    const { receipt, receivedAtMs } = item;
    const earlier = before.get(nameOf(receipt))!;
    const request = earlier.request ?? knownFrom(requests.get(receipt.requestId));
    const isWitness = request !== null && request.chargeNanoUsd > 0 && request.nodeId === receipt.nodeId;
    const endedAtMs = request?.endedAtMs ?? null;
    if (item.writeOff !== null) {
      const guessed = request === null && isOfBilled(item.writeOff.reason);
      return [{ ...item, writeOff: item.writeOff, isWitness: isWitness || guessed, endedAtMs }];
    }
    // a day after its end a Wallet has forgotten a request and its receipts: a node that sends one again says nothing new
    const isOld = earlier.request !== null && isWitness && !earlier.wasMissed;
    if (earlier.isKept || isOld) return [];
    const late = request !== null;
    return [{ receipt, receivedAtMs, writeOff: writeOff(receipt, request), late, isWitness, endedAtMs }];
  });
}

function knownFrom(request: UsageRecord | undefined): KnownRequest | null {
  return request
    ? { ...request, ending: request.ending!, endedAtMs: request.endedAtMs!, billed: request.usage }
    : null;
}

function isOfBilled(reason: WriteOffReason | null): boolean {
  return reason !== 'retried_elsewhere' && reason !== 'voided' && reason !== 'unknown_request';
}
