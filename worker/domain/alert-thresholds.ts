/** Alert thresholds: the balance levels and the percentages of caps that a Wallet checks whenever money moves. */
import { type NanoUsd, usd } from './money.ts';

export interface AlertThresholds {
  /** A notice is sent when the ledger balance falls below this; null: never. */
  readonly lowBalanceNanoUsd: NanoUsd | null;
  /** A recharge is requested when the ledger balance falls below this; null: never. */
  readonly rechargeBelowNanoUsd: NanoUsd | null;
  /** A notice is sent when spend reaches each of these percentages of a cap. */
  readonly capPercents: readonly number[];
}

/** The thresholds of an account that has not chosen any: the last dollar, and the customary steps of a cap. */
export const DEFAULT_ALERT_THRESHOLDS: AlertThresholds = {
  lowBalanceNanoUsd: usd(1),
  rechargeBelowNanoUsd: null,
  capPercents: [50, 75, 90, 100],
};
