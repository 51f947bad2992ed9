/** Limits of a key and of its account. A Wallet decides them in the same step as the hold, so they are exact worldwide. */
import { type NanoUsd, nanoUsd } from './money.ts';

export const CAP_PERIODS = ['day', 'month', 'total'] as const;
export type CapPeriod = (typeof CAP_PERIODS)[number];

export interface Limits {
  readonly requestsPerMinute: number;
  /** Prompt and completion tokens together; null: no limit. */
  readonly tokensPerMinute: number | null;
  /** Requests in flight at once. */
  readonly concurrency: number;
  /** Spend per `capPeriod`; null: no cap. */
  readonly capNanoUsd: NanoUsd | null;
  readonly capPeriod: CapPeriod;
}

export const LIMIT_SCOPES = ['key', 'account'] as const;
export type LimitScope = (typeof LIMIT_SCOPES)[number];
export type ScopedLimits = Readonly<Record<LimitScope, Limits>>;

/** The limits of background work: only spend is limited. It yields to interactive requests, so its rate need not be. */
export function capsOnly(limits: ScopedLimits): ScopedLimits {
  const withoutRates = (scoped: Limits): Limits => ({
    ...scoped,
    requestsPerMinute: Number.POSITIVE_INFINITY,
    tokensPerMinute: null,
    concurrency: Number.POSITIVE_INFINITY,
  });
  return { key: withoutRates(limits.key), account: withoutRates(limits.account) };
}

/** How much of its limits a key or an account has used at an instant. */
export interface Load {
  /** Requests admitted within the last 60 s. */
  readonly requestsLastMinute: number;
  /** Age of the oldest of them, ms. */
  readonly oldestRequestAgeMs: number;
  /** Tokens of requests in flight, as far as known, and of those that ended within the last 60 s. */
  readonly tokensLastMinute: number;
  /** Time until some of these tokens no longer count; null: all of them are in flight. */
  readonly tokensFreeInMs: number | null;
  readonly inFlight: number;
  readonly heldNanoUsd: NanoUsd;
  /** Spend posted in the cap's period; known only where there is a cap. */
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
      /** Tokens that this request is expected to use. */
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

/** A slot comes free when any stream ends, which cannot be predicted; one second keeps retries from becoming a flood. */
const SLOT_RETRY_MS = 1_000;
const DAY_MS = 86_400_000;

/** The first limit that a request would exceed, the key's before its account's; null: none. */
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
  // A request that is alone is served however large it is: otherwise it never could be.
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

/** The rest of the cap after the spend that is posted and held; null: no cap. */
export function capLeft(
  limits: Pick<Limits, 'capNanoUsd'>,
  load: Pick<Load, 'spentNanoUsd' | 'heldNanoUsd'>,
): NanoUsd | null {
  if (limits.capNanoUsd === null) return null;
  return nanoUsd(Math.max(0, limits.capNanoUsd - load.spentNanoUsd - load.heldNanoUsd));
}

/** First day (UTC days since 1970) of the period that contains `nowMs`. */
export function periodStartDay(period: CapPeriod, nowMs: number): number {
  if (period === 'total') return 0;
  if (period === 'day') return dayOf(nowMs);
  const now = new Date(nowMs);
  return dayOf(Date.UTC(now.getUTCFullYear(), now.getUTCMonth(), 1));
}

/** When the period ends and the cap starts afresh; null: never. */
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

/** State of a per-minute limit: of key and account, whichever has less left. */
export interface MinuteLimitState {
  readonly limit: number;
  readonly remaining: number;
  /** Time until the oldest request or token in the window no longer counts. */
  readonly resetMs: number;
}

/** State of the per-minute limits, as response headers show it. */
export interface RateLimitState {
  readonly requests: MinuteLimitState;
  /** Null: there is no token limit. */
  readonly tokens: MinuteLimitState | null;
}
