/**
 * Looks at the balance and the caps whenever money has moved, and says once what its account wants to be told of.
 * Runs in the caller's transaction.
 *
 * watch  one row: the levels, and whether it was said already
 */

import { type AlertThresholds, DEFAULT_ALERT_THRESHOLDS } from '../domain/alert-thresholds.ts';
import { LIMIT_SCOPES, type LimitScope, periodStartDay } from '../domain/limits.ts';
import { type NanoUsd, nanoUsd } from '../domain/money.ts';
import type { Notice } from '../domain/notice.ts';
import type { Cap } from './held-request.ts';

const SCHEMA = `
CREATE TABLE IF NOT EXISTS watch (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  low_balance_nano_usd INTEGER,
  low_told_at_ms INTEGER,
  is_low INTEGER NOT NULL DEFAULT 0,
  recharge_below_nano_usd INTEGER,
  recharge_asked_at_ms INTEGER,
  cap_percents TEXT NOT NULL
) STRICT;
`;

/** However the balance or the level moves to and fro: nobody wants a letter for each. */
const TELL_AGAIN_MS = 3_600_000;
/** A recharge that came to nothing is asked for again, but not with every request. */
const ASK_AGAIN_MS = 3_600_000;

interface State extends AlertThresholds {
  readonly isLow: boolean;
  readonly lowToldAtMs: number | null;
  readonly rechargeAskedAtMs: number | null;
}

interface Say {
  notice(notice: Notice, atMs: number): void;
  recharge(): void;
}

export class ThresholdAlerts {
  readonly #sql: SqlStorage;
  readonly #say: Say;

  constructor(sql: SqlStorage, say: Say) {
    this.#sql = sql;
    this.#say = say;
    sql.exec(SCHEMA);
    const { lowBalanceNanoUsd, rechargeBelowNanoUsd, capPercents } = DEFAULT_ALERT_THRESHOLDS;
    sql.exec(
      'INSERT OR IGNORE INTO watch (id, low_balance_nano_usd, recharge_below_nano_usd, cap_percents) VALUES (1, ?, ?, ?)',
      lowBalanceNanoUsd,
      rechargeBelowNanoUsd,
      JSON.stringify(capPercents),
    );
  }

  change(change: Partial<AlertThresholds>, balanceNanoUsd: NanoUsd, nowMs: number): void {
    const before = this.#read();
    const after = { ...before, ...change };
    const isLow = before.isLow && after.lowBalanceNanoUsd === before.lowBalanceNanoUsd;
    const isSameLevel = after.rechargeBelowNanoUsd === before.rechargeBelowNanoUsd;
    this.#write({ ...after, isLow, rechargeAskedAtMs: isSameLevel ? before.rechargeAskedAtMs : null });
    this.balance(balanceNanoUsd, nowMs);
  }

  /** Credit came in: should it not be enough, there is reason to ask again at once. */
  credited(balanceNanoUsd: NanoUsd, nowMs: number): void {
    const state = this.#read();
    if (state.rechargeAskedAtMs !== null) this.#write({ ...state, rechargeAskedAtMs: null });
    this.balance(balanceNanoUsd, nowMs);
  }

  balance(balanceNanoUsd: NanoUsd, nowMs: number): void {
    const state = this.#read();
    const { lowBalanceNanoUsd: low, rechargeBelowNanoUsd: below, rechargeAskedAtMs: askedAtMs } = state;
    const isLow = low !== null && balanceNanoUsd < low;
    const asks = below !== null && balanceNanoUsd < below;
    const asksNow = asks && (askedAtMs === null || nowMs - askedAtMs > ASK_AGAIN_MS);
    const tellsNow =
      isLow && !state.isLow && nowMs - (state.lowToldAtMs ?? Number.NEGATIVE_INFINITY) > TELL_AGAIN_MS;
    if (tellsNow) this.#say.notice({ kind: 'balance.low', balanceNanoUsd, belowNanoUsd: low }, nowMs);
    if (asksNow) this.#say.recharge();
    const rechargeAskedAtMs = asksNow ? nowMs : asks ? askedAtMs : null;
    const lowToldAtMs = tellsNow ? nowMs : state.lowToldAtMs;
    if (isLow !== state.isLow || tellsNow || rechargeAskedAtMs !== askedAtMs)
      this.#write({ ...state, isLow, lowToldAtMs, rechargeAskedAtMs });
  }

  /** @param spentAfter posted in the period of a cap, the charge included */
  caps(
    charge: { keyId: string; chargeNanoUsd: NanoUsd; caps: Readonly<Record<LimitScope, Cap>> },
    spentAfter: (keyId: string | null, day: number) => NanoUsd,
    nowMs: number,
  ): void {
    for (const scope of LIMIT_SCOPES) {
      const { capNanoUsd, capPeriod } = charge.caps[scope];
      if (capNanoUsd === null) continue;
      const keyId = scope === 'key' ? charge.keyId : null;
      const spentNanoUsd = spentAfter(keyId, periodStartDay(capPeriod, nowMs));
      const before = spentNanoUsd - charge.chargeNanoUsd;
      const share = (percent: number) => Math.ceil((capNanoUsd * percent) / 100);
      const percent = this.#read().capPercents.findLast(
        (each) => before < share(each) && spentNanoUsd >= share(each),
      );
      if (percent === undefined) continue;
      this.#say.notice({ kind: 'cap.used', keyId, percent, spentNanoUsd, capNanoUsd, capPeriod }, nowMs);
    }
  }

  #read(): State {
    const row = this.#sql.exec('SELECT * FROM watch').one();
    const amount = (value: SqlStorageValue | undefined) =>
      typeof value === 'number' ? nanoUsd(value) : null;
    return {
      lowBalanceNanoUsd: amount(row.low_balance_nano_usd),
      rechargeBelowNanoUsd: amount(row.recharge_below_nano_usd),
      capPercents: JSON.parse(row.cap_percents as string) as number[],
      isLow: row.is_low === 1,
      lowToldAtMs: row.low_told_at_ms as number | null,
      rechargeAskedAtMs: row.recharge_asked_at_ms as number | null,
    };
  }

  #write(state: State): void {
    this.#sql.exec(
      `UPDATE watch SET low_balance_nano_usd = ?, is_low = ?, low_told_at_ms = ?, recharge_below_nano_usd = ?,
         recharge_asked_at_ms = ?, cap_percents = ?`,
      state.lowBalanceNanoUsd,
      state.isLow ? 1 : 0,
      state.lowToldAtMs,
      state.rechargeBelowNanoUsd,
      state.rechargeAskedAtMs,
      JSON.stringify([...state.capPercents].sort((a, b) => a - b)),
    );
  }
}
