/** Limits of a key, decided in the same step as the hold so that they are exact across the world. */
import { type NanoUsd, nanoUsd } from './money.ts';

export const CAP_PERIODS = ['day', 'month', 'total'] as const;
export type CapPeriod = (typeof CAP_PERIODS)[number];

export interface KeyLimits {
  readonly requestsPerMinute: number;
  /** requests in flight at once */
  readonly concurrency: number;
  /** spend per `capPeriod`; null: no cap */
  readonly capNanoUsd: NanoUsd | null;
  readonly capPeriod: CapPeriod;
}

/** How much of its limits a key has used at an instant. */
export interface KeyLoad {
  /** admitted within the last 60 s */
  readonly requestsLastMinute: number;
  /** age of the oldest of them, ms */
  readonly oldestRequestAgeMs: number;
  readonly inFlight: number;
  /** posted in the cap's period */
  readonly spentNanoUsd: NanoUsd;
  readonly heldNanoUsd: NanoUsd;
}

export type LimitRefusal =
  | { reason: 'requests_per_minute'; limit: number; retryAfterMs: number }
  | { reason: 'concurrency'; limit: number; retryAfterMs: number }
  | { reason: 'key_cap_reached'; capNanoUsd: NanoUsd; usedNanoUsd: NanoUsd; resetAtMs: number | null };

/** A slot comes free when a stream ends; a second is a polite time to ask again. */
const CONCURRENCY_RETRY_MS = 1_000;
const DAY_MS = 86_400_000;

/** The first limit that a request holding at least `leastNanoUsd` would break, or null. */
export function limitRefusal(
  limits: KeyLimits,
  load: KeyLoad,
  leastNanoUsd: NanoUsd,
  nowMs: number,
): LimitRefusal | null {
  if (load.requestsLastMinute >= limits.requestsPerMinute) {
    const retryAfterMs = Math.max(1, 60_000 - load.oldestRequestAgeMs);
    return { reason: 'requests_per_minute', limit: limits.requestsPerMinute, retryAfterMs };
  }
  if (load.inFlight >= limits.concurrency) {
    return { reason: 'concurrency', limit: limits.concurrency, retryAfterMs: CONCURRENCY_RETRY_MS };
  }
  const left = capLeft(limits, load);
  if (left !== null && left < leastNanoUsd) {
    return {
      reason: 'key_cap_reached',
      capNanoUsd: limits.capNanoUsd!,
      usedNanoUsd: nanoUsd(load.spentNanoUsd + load.heldNanoUsd),
      resetAtMs: periodEndMs(limits.capPeriod, nowMs),
    };
  }
  return null;
}

/** What the cap still allows beyond what is posted and held; null: no cap. */
export function capLeft(
  limits: Pick<KeyLimits, 'capNanoUsd'>,
  load: Pick<KeyLoad, 'spentNanoUsd' | 'heldNanoUsd'>,
): NanoUsd | null {
  if (limits.capNanoUsd === null) return null;
  return nanoUsd(Math.max(0, limits.capNanoUsd - load.spentNanoUsd - load.heldNanoUsd));
}

/** First day (UTC days since 1970) of the period that `nowMs` lies in. */
export function periodStartDay(period: CapPeriod, nowMs: number): number {
  if (period === 'total') return 0;
  if (period === 'day') return dayOf(nowMs);
  const now = new Date(nowMs);
  return dayOf(Date.UTC(now.getUTCFullYear(), now.getUTCMonth(), 1));
}

/** When the period ends and the cap is whole again; null: never. */
export function periodEndMs(period: CapPeriod, nowMs: number): number | null {
  if (period === 'total') return null;
  if (period === 'day') return (dayOf(nowMs) + 1) * DAY_MS;
  const now = new Date(nowMs);
  return Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + 1, 1);
}

/** UTC days since 1970. */
export function dayOf(atMs: number): number {
  return Math.floor(atMs / DAY_MS);
}
