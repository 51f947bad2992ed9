/** Limits of a key and of its whole account, decided in the same step as the hold so that they are exact across the world. */
import { type NanoUsd, nanoUsd } from './money.ts';

export const CAP_PERIODS = ['day', 'month', 'total'] as const;
export type CapPeriod = (typeof CAP_PERIODS)[number];

export interface Limits {
  readonly requestsPerMinute: number;
  /** prompt and completion tokens together; null: no limit */
  readonly tokensPerMinute: number | null;
  /** requests in flight at once */
  readonly concurrency: number;
  /** spend per `capPeriod`; null: no cap */
  readonly capNanoUsd: NanoUsd | null;
  readonly capPeriod: CapPeriod;
}

export const LIMIT_SCOPES = ['key', 'account'] as const;
export type LimitScope = (typeof LIMIT_SCOPES)[number];
export type ScopedLimits = Readonly<Record<LimitScope, Limits>>;

/** Of work that can wait only the spend is limited: it takes nobody's turn, so it has no pace to keep. */
export function capsOnly(limits: ScopedLimits): ScopedLimits {
  const free = (each: Limits): Limits => ({
    ...each,
    requestsPerMinute: Number.POSITIVE_INFINITY,
    tokensPerMinute: null,
    concurrency: Number.POSITIVE_INFINITY,
  });
  return { key: free(limits.key), account: free(limits.account) };
}

/** How much of its limits a key or an account has used at an instant. */
export interface Load {
  /** admitted within the last 60 s */
  readonly requestsLastMinute: number;
  /** age of the oldest of them, ms */
  readonly oldestRequestAgeMs: number;
  /** of requests in flight, as far as is known, and of those that ended within the last 60 s */
  readonly tokensLastMinute: number;
  /** until some of these tokens no longer count; null: all of them are in flight */
  readonly tokensFreeInMs: number | null;
  readonly inFlight: number;
  readonly heldNanoUsd: NanoUsd;
  /** posted in the cap's period; only known where there is a cap */
  readonly spentNanoUsd: NanoUsd;
}

export type LimitRefusal =
  | {
      reason: 'requests_per_minute' | 'concurrency';
      scope: LimitScope;
      limit: number;
      used: number;
      retryAfterMs: number;
    }
  | {
      reason: 'tokens_per_minute';
      scope: LimitScope;
      limit: number;
      used: number;
      /** what this request is expected to use */
      wanted: number;
      retryAfterMs: number;
    }
  | {
      reason: 'key_cap_reached' | 'account_cap_reached';
      capNanoUsd: NanoUsd;
      usedNanoUsd: NanoUsd;
      resetAtMs: number | null;
    };

export const CAP_REACHED = { key: 'key_cap_reached', account: 'account_cap_reached' } as const;

/** A slot comes free when a stream ends; a second is a polite time to ask again. */
const SLOT_RETRY_MS = 1_000;
const DAY_MS = 86_400_000;

/** The first limit that a request would break, the key's before its account's, or null. */
export function limitRefusal(
  limits: ScopedLimits,
  loads: Readonly<Record<LimitScope, Load>>,
  request: { leastNanoUsd: NanoUsd; tokens: number },
  nowMs: number,
): LimitRefusal | null {
  for (const scope of LIMIT_SCOPES) {
    const refusal = refusalIn(scope, limits[scope], loads[scope], request, nowMs);
    if (refusal) return refusal;
  }
  return null;
}

function refusalIn(
  scope: LimitScope,
  limits: Limits,
  load: Load,
  { leastNanoUsd, tokens }: { leastNanoUsd: NanoUsd; tokens: number },
  nowMs: number,
): LimitRefusal | null {
  const { requestsPerMinute, tokensPerMinute, concurrency } = limits;
  if (load.requestsLastMinute >= requestsPerMinute) {
    const retryAfterMs = Math.max(1, 60_000 - load.oldestRequestAgeMs);
    const used = load.requestsLastMinute;
    return { reason: 'requests_per_minute', scope, limit: requestsPerMinute, used, retryAfterMs };
  }
  const used = load.tokensLastMinute;
  // one that is alone is served however large: otherwise it never could be
  if (tokensPerMinute !== null && used > 0 && used + tokens > tokensPerMinute) {
    const retryAfterMs = Math.max(1, load.tokensFreeInMs ?? SLOT_RETRY_MS);
    return { reason: 'tokens_per_minute', scope, limit: tokensPerMinute, used, wanted: tokens, retryAfterMs };
  }
  if (load.inFlight >= concurrency) {
    const retryAfterMs = SLOT_RETRY_MS;
    return { reason: 'concurrency', scope, limit: concurrency, used: load.inFlight, retryAfterMs };
  }
  const left = capLeft(limits, load);
  if (left !== null && left < leastNanoUsd) {
    return {
      reason: CAP_REACHED[scope],
      capNanoUsd: limits.capNanoUsd!,
      usedNanoUsd: nanoUsd(load.spentNanoUsd + load.heldNanoUsd),
      resetAtMs: periodEndMs(limits.capPeriod, nowMs),
    };
  }
  return null;
}

/** What the cap still allows beyond what is posted and held; null: no cap. */
export function capLeft(
  limits: Pick<Limits, 'capNanoUsd'>,
  load: Pick<Load, 'spentNanoUsd' | 'heldNanoUsd'>,
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
/** A limit per minute, of the key or of its account, whichever has less left. */
export interface MinuteLimitState {
  readonly limit: number;
  readonly remaining: number;
  /** until the oldest that counts no longer does */
  readonly resetMs: number;
}
export interface RateLimitState {
  readonly requests: MinuteLimitState;
  /** null: no such limit */
  readonly tokens: MinuteLimitState | null;
}
