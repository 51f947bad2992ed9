/** Reconciliation: the tokens that a node's receipt counts for a request, against the tokens that were billed for it. */
import type { Ending, RequestState } from './hold.ts';
import type { Usage } from './usage.ts';
import type { WalletReceipt } from './wallet.ts';

/** Why tokens that a node counted are billed to no account. */
export type WriteOffReason =
  /** Another node's attempt was billed. */
  | 'retried_elsewhere'
  /** The request had no usable answer, so it cost nothing. */
  | 'voided'
  /** Generated between the client's disconnect and the engine's stop. */
  | 'after_client_gone'
  /** Generated past the last token that credit covered. */
  | 'after_credit_end'
  /** Generated, but never arrived at the edge. */
  | 'undelivered'
  /** The account has no such request. */
  | 'unknown_request'
  /** The node counted a larger prompt than the request can have or the model takes. */
  | 'implausible'
  /** The edge's isolate was lost, and the receipt counts more than was held for the request by then. */
  | 'past_hold';

/** Kinds of drift. An operator is alerted to each, with the request's id. */
export type DriftKind =
  /** The billed and the counted tokens differ where they must be equal, or more was billed than counted. */
  | 'tokens'
  /** The node counted a larger prompt than the request can have or the model takes, so its answer was refused. */
  | 'implausible'
  /** The engine generated past the request's max_tokens. The agent cut the answer there, and the rest is on no bill. */
  | 'overrun'
  /** The charge is not usage × the price that it names. */
  | 'price'
  /** The request was billed and its node sent no receipt within the grace period. */
  | 'receipt_missing'
  /** Two nodes report the whole answer of one request. */
  | 'double';

export interface WriteOff {
  /** Node's count minus billed count. A negative value is drift: more was billed than the node counted. */
  readonly promptTokens: number;
  readonly completionTokens: number;
  readonly reason: WriteOffReason | null;
}

export interface SettledRequest {
  readonly state: RequestState;
  readonly ending: Ending;
  /** The node whose attempt was billed. */
  readonly nodeId: string | null;
  readonly billed: Usage;
}

/**
 * The part of a receipt's tokens that is written off.
 * A `lost` receipt comes from a node whose agent died and journalled only part of what it generated. Tokens billed beyond
 * that part did reach the edge, so they are no drift.
 * @param settled the request as it was settled; null: the request is unknown
 */
export function writeOff(
  receipt: { nodeId: string; usage: Usage; outcome: WalletReceipt['outcome'] },
  settled: SettledRequest | null,
): WriteOff {
  const isOwn = settled !== null && settled.nodeId === receipt.nodeId;
  const least = receipt.outcome === 'lost' ? 0 : Number.NEGATIVE_INFINITY;
  const excess = (counted: number, billed: number) => Math.max(least, counted - (isOwn ? billed : 0));
  const promptTokens = excess(receipt.usage.promptTokens, settled?.billed.promptTokens ?? 0);
  const completionTokens = excess(receipt.usage.completionTokens, settled?.billed.completionTokens ?? 0);
  const isEven = promptTokens === 0 && completionTokens === 0;
  return { promptTokens, completionTokens, reason: isEven ? null : reasonFor(isOwn, settled) };
}

/**
 * The drift that a receipt shows; null: the request's ending explains every difference. Drift is more billed than counted,
 * any difference for an answer that was delivered completely, and every count that the edge did not bill because it
 * cannot be.
 */
export function driftOf(
  off: WriteOff,
  receipt: { nodeId: string; usage: Usage; outcome: WalletReceipt['outcome'] },
  { nodeId, ending, billed }: SettledRequest,
): 'tokens' | 'implausible' | null {
  const isOwn = nodeId === receipt.nodeId;
  if (isOwn && ending === 'implausible') return 'implausible';
  if (off.promptTokens < 0 || off.completionTokens < 0) return 'tokens';
  if (!isOwn || ending !== 'finished') return null;
  return off.reason !== null || !isSameKind(receipt, billed) ? 'tokens' : null;
}

/**
 * Whether a finished answer's receipt counts as many cached and as many reasoning tokens as were billed. Cached tokens
 * have a price of their own, so an equal sum is not enough.
 */
function isSameKind(
  { usage, outcome }: { usage: Usage; outcome: WalletReceipt['outcome'] },
  billed: Usage,
): boolean {
  if (outcome !== 'finished') return true;
  return usage.cachedTokens === billed.cachedTokens && usage.reasoningTokens === billed.reasoningTokens;
}

const REASONS: Record<Ending, WriteOffReason> = {
  finished: 'undelivered',
  client_gone: 'after_client_gone',
  out_of_credit: 'after_credit_end',
  insufficient_balance: 'after_credit_end',
  key_cap_reached: 'after_credit_end',
  manager_cap_reached: 'after_credit_end',
  account_cap_reached: 'after_credit_end',
  token_cap_reached: 'after_credit_end',
  node_failed: 'undelivered',
  not_served: 'voided',
  implausible: 'implausible',
  settled_by_receipt: 'past_hold',
  unproved: 'voided',
};

function reasonFor(isOwn: boolean, settled: SettledRequest | null): WriteOffReason {
  if (settled === null) return 'unknown_request';
  if (settled.state === 'voided') return isOwn && settled.ending === 'implausible' ? 'implausible' : 'voided';
  return isOwn ? REASONS[settled.ending] : 'retried_elsewhere';
}
