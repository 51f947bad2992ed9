/**
 * Compares the balance and the caps with the account's alert thresholds whenever money has moved, and raises each alert
 * once. Calls run in the caller's transaction.
 *
 * watch     one row: the thresholds, and when their alerts were last raised
 * cap_full  a row for each cap whose last percentage was noticed, with the period and the amount that it had then
 */

import { type AlertThresholds, DEFAULT_ALERT_THRESHOLDS } from '../domain/alert-thresholds.ts';
import { type Cap, type CapReached, type Caps, periodStartDay } from '../domain/limits.ts';
import { type NanoUsd, nanoUsd } from '../domain/money.ts';
import type { Notice } from '../domain/notice.ts';

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
CREATE TABLE IF NOT EXISTS cap_full (
  cap_key TEXT PRIMARY KEY,
  period_day INTEGER NOT NULL,
  cap_nano_usd INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
`;

/** The least time between two low-balance notices: the balance may cross the threshold many times, one e-mail is enough. */
const NOTICE_AGAIN_MS = 3_600_000;
/** A recharge that brought no credit is requested again after this time, not with every request. */
const RECHARGE_AGAIN_MS = 3_600_000;

/** The percentage of a cap at which nothing is left of it. */
const WHOLE = 100;

interface AlertState extends AlertThresholds {
  readonly isLow: boolean;
  /** The column `low_told_at_ms`. */
  readonly lowNoticedAtMs: number | null;
  /** The column `recharge_asked_at_ms`. */
  readonly rechargeRequestedAtMs: number | null;
}

/** A cap, with the key that a notice of it names, and the one whose spend counts against it; both null: the account's. */
interface CountedCap {
  readonly reason: CapReached;
  readonly named: string | null;
  readonly capKeyId: string | null;
  readonly cap: Cap;
}

type SpentSince = (keyId: string | null, day: number) => NanoUsd;

interface AlertSink {
  notice(notice: Notice, atMs: number): void;
  recharge(): void;
}

export class ThresholdAlerts {
  readonly #sql: SqlStorage;
  readonly #sink: AlertSink;

  constructor(sql: SqlStorage, sink: AlertSink) {
    this.#sql = sql;
    this.#sink = sink;
    sql.exec(SCHEMA);
    const { lowBalanceNanoUsd, rechargeBelowNanoUsd, capPercents } = DEFAULT_ALERT_THRESHOLDS;
    sql.exec(
      'INSERT OR IGNORE INTO watch (id, low_balance_nano_usd, recharge_below_nano_usd, cap_percents) VALUES (1, ?, ?, ?)',
      lowBalanceNanoUsd,
      rechargeBelowNanoUsd,
      JSON.stringify(capPercents),
    );
  }

  /** Changes the thresholds that are given, and compares them with the balance at once. */
  change(change: Partial<AlertThresholds>, balanceNanoUsd: NanoUsd, nowMs: number): void {
    const before = this.#read();
    const after = { ...before, ...change };
    const isLow = before.isLow && after.lowBalanceNanoUsd === before.lowBalanceNanoUsd;
    const isSameThreshold = after.rechargeBelowNanoUsd === before.rechargeBelowNanoUsd;
    this.#write({
      ...after,
      isLow,
      rechargeRequestedAtMs: isSameThreshold ? before.rechargeRequestedAtMs : null,
    });
    this.balance(balanceNanoUsd, nowMs);
  }

  /** Credit came in. If the balance is still too low, a recharge may be requested again at once. */
  credited(balanceNanoUsd: NanoUsd, nowMs: number): void {
    const state = this.#read();
    if (state.rechargeRequestedAtMs !== null) this.#write({ ...state, rechargeRequestedAtMs: null });
    this.balance(balanceNanoUsd, nowMs);
  }

  /** Raises the alerts that the ledger balance calls for. */
  balance(balanceNanoUsd: NanoUsd, nowMs: number): void {
    const state = this.#read();
    const {
      lowBalanceNanoUsd: low,
      rechargeBelowNanoUsd: below,
      rechargeRequestedAtMs: requestedAtMs,
    } = state;
    const isLow = low !== null && balanceNanoUsd < low;
    const needsRecharge = below !== null && balanceNanoUsd < below;
    const requestsNow =
      needsRecharge && (requestedAtMs === null || nowMs - requestedAtMs > RECHARGE_AGAIN_MS);
    const noticesNow =
      isLow && !state.isLow && nowMs - (state.lowNoticedAtMs ?? Number.NEGATIVE_INFINITY) > NOTICE_AGAIN_MS;
    if (noticesNow) this.#sink.notice({ kind: 'balance.low', balanceNanoUsd, belowNanoUsd: low }, nowMs);
    if (requestsNow) this.#sink.recharge();
    const rechargeRequestedAtMs = requestsNow ? nowMs : needsRecharge ? requestedAtMs : null;
    const lowNoticedAtMs = noticesNow ? nowMs : state.lowNoticedAtMs;
    if (isLow !== state.isLow || noticesNow || rechargeRequestedAtMs !== requestedAtMs)
      this.#write({ ...state, isLow, lowNoticedAtMs, rechargeRequestedAtMs });
  }

  /**
   * Raises a notice for each cap of which the charge has used up another alert percentage.
   * @param spentSince what was posted from a day on, this charge included
   */
  caps(
    { keyId, chargeNanoUsd, caps }: { keyId: string; chargeNanoUsd: NanoUsd; caps: Caps },
    spentSince: SpentSince,
    nowMs: number,
  ): void {
    for (const counted of countedCaps(keyId, caps)) {
      const { capKeyId, cap } = counted;
      const { capNanoUsd, capPeriod } = cap;
      if (capNanoUsd === null) continue;
      const spentNanoUsd = spentSince(capKeyId, periodStartDay(capPeriod, nowMs));
      const before = spentNanoUsd - chargeNanoUsd;
      const amountAt = (percent: number) => Math.ceil((capNanoUsd * percent) / 100);
      const percent = this.#read().capPercents.findLast(
        (each) => before < amountAt(each) && spentNanoUsd >= amountAt(each),
      );
      if (percent !== undefined) this.#notice(counted, percent, spentNanoUsd, nowMs);
    }
  }

  /**
   * Raises the notice of the whole cap with the first request that it refuses. Spend stops just below a cap, where nothing
   * fits any more, so hardly any charge would ever raise it.
   */
  refused(
    { keyId, caps, refusal }: { keyId: string; caps: Caps; refusal: { readonly reason: string } },
    spentSince: SpentSince,
    nowMs: number,
  ): void {
    const counted = countedCaps(keyId, caps).find(({ reason }) => reason === refusal.reason);
    if (counted === undefined || !this.#read().capPercents.includes(WHOLE)) return;
    const { capKeyId, cap } = counted;
    this.#notice(counted, WHOLE, spentSince(capKeyId, periodStartDay(cap.capPeriod, nowMs)), nowMs);
  }

  #notice({ named, capKeyId, cap }: CountedCap, percent: number, spentNanoUsd: NanoUsd, nowMs: number): void {
    const { capNanoUsd, capPeriod } = cap;
    if (capNanoUsd === null) return;
    const fullDay = { capKeyId, day: periodStartDay(capPeriod, nowMs), capNanoUsd };
    if (percent === WHOLE && !this.#isFirstWhole(fullDay)) return;
    this.#sink.notice(
      { kind: 'cap.used', keyId: named, percent, spentNanoUsd, capNanoUsd, capPeriod },
      nowMs,
    );
  }

  /** Whether the cap, as it is now, has not been noticed as wholly used in this period; remembers that it is. */
  #isFirstWhole({
    capKeyId,
    day,
    capNanoUsd,
  }: {
    capKeyId: string | null;
    day: number;
    capNanoUsd: NanoUsd;
  }) {
    const name = capKeyId ?? '';
    const [known] = this.#sql.exec('SELECT * FROM cap_full WHERE cap_key = ?', name).toArray();
    if (known?.period_day === day && known.cap_nano_usd === capNanoUsd) return false;
    this.#sql.exec('INSERT OR REPLACE INTO cap_full VALUES (?, ?, ?)', name, day, capNanoUsd);
    return true;
  }

  #read(): AlertState {
    const row = this.#sql.exec('SELECT * FROM watch').one();
    const amount = (value: SqlStorageValue | undefined) =>
      typeof value === 'number' ? nanoUsd(value) : null;
    return {
      lowBalanceNanoUsd: amount(row.low_balance_nano_usd),
      rechargeBelowNanoUsd: amount(row.recharge_below_nano_usd),
      capPercents: JSON.parse(row.cap_percents as string) as number[],
      isLow: row.is_low === 1,
      lowNoticedAtMs: row.low_told_at_ms as number | null,
      rechargeRequestedAtMs: row.recharge_asked_at_ms as number | null,
    };
  }

  #write(state: AlertState): void {
    this.#sql.exec(
      `UPDATE watch SET low_balance_nano_usd = ?, is_low = ?, low_told_at_ms = ?, recharge_below_nano_usd = ?,
         recharge_asked_at_ms = ?, cap_percents = ?`,
      state.lowBalanceNanoUsd,
      state.isLow ? 1 : 0,
      state.lowNoticedAtMs,
      state.rechargeBelowNanoUsd,
      state.rechargeRequestedAtMs,
      JSON.stringify([...state.capPercents].sort((a, b) => a - b)),
    );
  }
}

/** Every cap that a request of the key counts against. */
function countedCaps(keyId: string, caps: Caps): CountedCap[] {
  const { lineageId = null, manager = null } = caps.shared ?? {};
  return [
    { reason: 'key_cap_reached', named: keyId, capKeyId: lineageId ?? keyId, cap: caps.key },
    ...(manager
      ? [
          {
            reason: 'manager_cap_reached' as const,
            named: manager.keyId,
            capKeyId: manager.keyId,
            cap: manager,
          },
        ]
      : []),
    { reason: 'account_cap_reached', named: null, capKeyId: null, cap: caps.account },
  ];
}
