/** What is said to a batch's Durable Object, and what it knows of the whole. */
import { type NanoUsd, nanoUsd } from './money.ts';
import { addUsage, NO_USAGE, type Usage } from './usage.ts';

/** Everything it was made with. */
export interface BatchOrder {
  readonly batchId: string;
  readonly accountId: string;
  /** whose models, caps and life count */
  readonly keyId: string;
  readonly endpoint: string;
  readonly input: { readonly fileId: string; readonly parts: number };
  readonly outputFileId: string;
  readonly errorFileId: string;
  /** what has not begun by then is not done */
  readonly expiresAtMs: number;
}

/** Why no line is begun although some wait. */
export type PausedBy =
  | 'insufficient_balance'
  | 'key_cap_reached'
  | 'account_cap_reached'
  /** an operator stopped the account; lines that run end */
  | 'account_suspended'
  /** all nodes have enough to do with those who wait for their answer */
  | 'no_idle_capacity';

/** Why lines were left undone. */
export type CutBy = 'batch_expired' | 'batch_cancelled' | 'key_revoked' | 'empty_file' | 'too_many_lines';

/** Sums over the lines that have ended. */
export interface BatchTotals {
  readonly completed: number;
  readonly failed: number;
  readonly usage: Usage;
  readonly chargeNanoUsd: NanoUsd;
}

/** One per batch, by batch id. Both calls are safe to repeat. */
export interface BatchApi {
  begin(order: BatchOrder): Promise<void>;
  /** Begins no further line; those that run are finished, and paid for. */
  cancel(): Promise<void>;
}

export const NO_TOTALS: BatchTotals = {
  completed: 0,
  failed: 0,
  usage: NO_USAGE,
  chargeNanoUsd: nanoUsd(0),
};

export function addTotals(totals: BatchTotals, more: Partial<BatchTotals>): BatchTotals {
  return {
    completed: totals.completed + (more.completed ?? 0),
    failed: totals.failed + (more.failed ?? 0),
    usage: addUsage(totals.usage, more.usage ?? NO_USAGE),
    chargeNanoUsd: nanoUsd(totals.chargeNanoUsd + (more.chargeNanoUsd ?? 0)),
  };
}
