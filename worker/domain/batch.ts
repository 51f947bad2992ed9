/** The interface of a batch's Durable Object, and the totals that it keeps. */
import { type NanoUsd, nanoUsd } from './money.ts';
import { addUsage, NO_USAGE, type Usage } from './usage.ts';

/** Everything that a batch is created with. */
export interface BatchSpec {
  readonly batchId: string;
  readonly accountId: string;
  /** The API key whose model list, caps and expiry apply to every line. */
  readonly keyId: string;
  readonly endpoint: string;
  readonly input: { readonly fileId: string; readonly parts: number };
  readonly outputFileId: string;
  readonly errorFileId: string;
  /** Lines that have not begun by then are not run. */
  readonly expiresAtMs: number;
}

/** Why no line is started although some are waiting. */
export type PauseReason =
  | 'insufficient_balance'
  | 'key_cap_reached'
  | 'manager_cap_reached'
  | 'account_cap_reached'
  /** An operator suspended the account; lines already running are finished. */
  | 'account_suspended'
  /** Every node is busy with interactive requests. */
  | 'no_idle_capacity';

/** Why lines were never run. */
export type StopReason =
  | 'batch_expired'
  | 'batch_cancelled'
  | 'key_revoked'
  | 'empty_file'
  | 'too_many_lines';

/** Sums over the lines that have ended. */
export interface BatchTotals {
  readonly completed: number;
  readonly failed: number;
  readonly usage: Usage;
  readonly chargeNanoUsd: NanoUsd;
}

/** A batch's Durable Object, named by its batch id. Both calls are safe to repeat. */
export interface BatchApi {
  begin(order: BatchSpec): Promise<void>;
  /** Starts no further line; running lines are finished and billed. */
  cancel(): Promise<void>;
}

export const NO_TOTALS: BatchTotals = {
  completed: 0,
  failed: 0,
  usage: NO_USAGE,
  chargeNanoUsd: nanoUsd(0),
};

export function addTotals(totals: BatchTotals, delta: Partial<BatchTotals>): BatchTotals {
  return {
    completed: totals.completed + (delta.completed ?? 0),
    failed: totals.failed + (delta.failed ?? 0),
    usage: addUsage(totals.usage, delta.usage ?? NO_USAGE),
    chargeNanoUsd: nanoUsd(totals.chargeNanoUsd + (delta.chargeNanoUsd ?? 0)),
  };
}
