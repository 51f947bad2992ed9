/** What a Wallet watches for its account while money moves: levels of the balance, and shares of the caps. */
import { type NanoUsd, usd } from './money.ts';

export interface AlertThresholds {
  /** give notice when the ledger balance falls below; null: never */
  readonly lowBalanceNanoUsd: NanoUsd | null;
  /** ask for a recharge when the ledger balance falls below; null: never */
  readonly rechargeBelowNanoUsd: NanoUsd | null;
  /** give notice when so much of a cap is posted, in percent */
  readonly capPercents: readonly number[];
}

/** Until somebody chooses: the last dollar, and the usual steps of a cap. */
export const DEFAULT_ALERT_THRESHOLDS: AlertThresholds = {
  lowBalanceNanoUsd: usd(1),
  rechargeBelowNanoUsd: null,
  capPercents: [50, 75, 90, 100],
};
