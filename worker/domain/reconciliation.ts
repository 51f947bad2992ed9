/** Two witnesses: what a node counted for a request against what was billed for it. */
import type { Ending, RequestState } from './hold.ts';
import type { Usage } from './usage.ts';
import type { WalletReceipt } from './wallet.ts';

/** Why tokens that a node counted are billed to nobody. */
export type WriteOffReason =
  /** another node's attempt was the one that was billed */
  | 'retried_elsewhere'
  /** the request had no usable answer, so it cost nothing */
  | 'voided'
  /** generated after the client left, before the engine stopped */
  | 'after_client_gone'
  /** generated past the last token that credit covered */
  | 'after_credit_end'
  /** generated, but never reached the edge */
  | 'undelivered'
  /** the account knows of no such request */
  | 'unknown_request';

/** What an operator is alerted of, with the request's id. */
export type DriftKind =
  /** billed and counted differ where they have to be equal, or more was billed than counted */
  | 'tokens'
  /** the charge is not usage × the price that it names */
  | 'price'
  /** billed, and no node sent a receipt within the grace */
  | 'receipt_missing'
  /** two nodes say that they gave the whole answer of one request */
  | 'double';

export interface WriteOff {
  /** node's count minus billed count; below zero is drift: more was billed than the node counted */
  readonly promptTokens: number;
  readonly completionTokens: number;
  readonly reason: WriteOffReason | null;
}

export interface Settled {
  readonly state: RequestState;
  readonly ending: Ending;
  /** node whose attempt was billed */
  readonly nodeId: string | null;
  readonly billed: Usage;
}

/**
 * What of a receipt's tokens is written off, once its request is settled (null: the request is unknown).
 * A node that died in between remembers only part of what it generated: what the edge billed beyond that part
 * did reach the edge, so it is no drift.
 */
export function writeOff(
  receipt: { nodeId: string; usage: Usage; outcome: WalletReceipt['outcome'] },
  settled: Settled | null,
): WriteOff {
  const own = settled !== null && settled.nodeId === receipt.nodeId;
  const least = receipt.outcome === 'lost' ? 0 : Number.NEGATIVE_INFINITY;
  const beyond = (counted: number, billed: number) => Math.max(least, counted - (own ? billed : 0));
  const promptTokens = beyond(receipt.usage.promptTokens, settled?.billed.promptTokens ?? 0);
  const completionTokens = beyond(receipt.usage.completionTokens, settled?.billed.completionTokens ?? 0);
  const even = promptTokens === 0 && completionTokens === 0;
  return { promptTokens, completionTokens, reason: even ? null : reasonFor(own, settled) };
}

/**
 * Whether a write-off is more than the way in which a request ended explains: more billed than counted, or another
 * count than was billed for an answer that went through from beginning to end.
 */
export function isDrift(off: WriteOff, receipt: { nodeId: string }, { nodeId, ending }: Settled): boolean {
  if (off.promptTokens < 0 || off.completionTokens < 0) return true;
  return off.reason !== null && ending === 'finished' && nodeId === receipt.nodeId;
}

const REASONS: Record<Ending, WriteOffReason> = {
  finished: 'undelivered',
  client_gone: 'after_client_gone',
  out_of_credit: 'after_credit_end',
  node_failed: 'undelivered',
  not_served: 'voided',
  settled_by_receipt: 'after_credit_end',
  unproved: 'voided',
};

function reasonFor(own: boolean, settled: Settled | null): WriteOffReason {
  if (settled === null) return 'unknown_request';
  if (settled.state === 'voided') return 'voided';
  return own ? REASONS[settled.ending] : 'retried_elsewhere';
}
