/** Limits of a key and of its account. A Wallet decides them in the same step as the hold, so they are exact worldwide. */
import type { HoldBound } from './hold.ts';
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

export type Cap = Pick<Limits, 'capNanoUsd' | 'capPeriod'>;

/** The caps that a key's spend counts against beside its own and its account's, so that no new key renews a spent cap. */
export interface SharedCaps {
  /** First key of the rotations that led to this one: the caps of all of them sum the same spend. null: it is the first. */
  readonly lineageId: string | null;
  /** The management key that made it, by the first key of its own lineage; null: none did, or it has no cap. */
  readonly manager: (Cap & { readonly keyId: string }) | null;
}

export const LIMIT_SCOPES = ['key', 'account'] as const;
export type LimitScope = (typeof LIMIT_SCOPES)[number];
/** `shared` is absent for a key that shares no cap. */
export type Caps = Readonly<Record<LimitScope, Cap>> & { readonly shared?: SharedCaps };
export type ScopedLimits = Readonly<Record<LimitScope, Limits>> & { readonly shared?: SharedCaps };

/** The limits of background work: only spend is limited. It yields to interactive requests, so its rate need not be. */
export function capsOnly(limits: ScopedLimits): ScopedLimits {
  const withoutRates = (scoped: Limits): Limits => ({
    ...scoped,
    requestsPerMinute: Number.POSITIVE_INFINITY,
    tokensPerMinute: null,
    concurrency: Number.POSITIVE_INFINITY,
  });
  return { ...limits, key: withoutRates(limits.key), account: withoutRates(limits.account) };
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

/** The part of a load that counts against a cap. */
export type CapUse = Pick<Load, 'heldNanoUsd' | 'spentNanoUsd'>;

/** `manager`: the use of the cap of the management key, known where there is one. */
export type Loads = Readonly<Record<LimitScope, Load>> & { readonly manager?: CapUse };

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
      reason: CapReached;
      capNanoUsd: NanoUsd;
      usedNanoUsd: NanoUsd;
      resetAtMs: number | null;
    }
  | HeldRefusal;

/** There is room for the request, but other requests hold it: what they turn out not to need comes back. */
export interface HeldRefusal {
  readonly reason: 'held_by_requests';
  /** The limit whose room is held. */
  readonly bound: HoldBound;
  /** The cap, or the balance. */
  readonly limitNanoUsd: NanoUsd;
  /** Spent under the cap; of a balance nothing, since what is spent is no part of it. */
  readonly spentNanoUsd: NanoUsd;
  readonly heldNanoUsd: NanoUsd;
  readonly retryAfterMs: number;
}

export type CapReached = 'key_cap_reached' | 'manager_cap_reached' | 'account_cap_reached';

/** A slot comes free when any stream ends, which cannot be predicted; one second keeps retries from becoming a flood. */
const SLOT_RETRY_MS = 1_000;
/** A hold shrinks to the real prompt with its first token and ends with its answer, most often within seconds. */
const HELD_RETRY_MS = 2_000;
const DAY_MS = 86_400_000;

/** The first limit that a request would exceed, the key's and its management key's before its account's; null: none. */
export function limitRefusal(
  limits: ScopedLimits,
  loads: Loads,
  request: { leastNanoUsd: NanoUsd; tokens: number },
  nowMs: number,
): LimitRefusal | null {
  const caps = capsOf(limits, loads).map((cap) => capRefusal(cap, request, nowMs));
  return firstRefusal([
    rateRefusal('key', limits.key, loads.key, request),
    ...caps.slice(0, -1),
    rateRefusal('account', limits.account, loads.account, request),
    ...caps.slice(-1),
  ]);
}

/** The first refusal that time alone does not lift; where there is none, the first of those that other requests lift. */
export function firstRefusal<R extends { readonly reason: string }>(
  refusals: readonly (R | null)[],
): R | null {
  const given = refusals.filter((refusal) => refusal !== null);
  return given.find(({ reason }) => reason !== 'held_by_requests') ?? given[0] ?? null;
}

function rateRefusal(
  scope: LimitScope,
  limits: Limits,
  load: Load,
  { tokens }: { tokens: number },
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
  return null;
}

interface UsedCap {
  readonly reason: CapReached;
  readonly cap: Cap;
  readonly use: CapUse;
}

/** Every cap that a request counts against, with its use: the key's first, the account's last. */
export function capsOf(caps: Caps, loads: Loads): UsedCap[] {
  const manager = caps.shared?.manager;
  return [
    { reason: 'key_cap_reached', cap: caps.key, use: loads.key },
    ...(manager && loads.manager
      ? [{ reason: 'manager_cap_reached' as const, cap: manager, use: loads.manager }]
      : []),
    { reason: 'account_cap_reached', cap: caps.account, use: loads.account },
  ];
}

function capRefusal(
  { reason, cap, use }: UsedCap,
  { leastNanoUsd }: { leastNanoUsd: NanoUsd },
  nowMs: number,
): LimitRefusal | null {
  const { capNanoUsd, capPeriod } = cap;
  if (capNanoUsd === null || capLeft(cap, use)! >= leastNanoUsd) return null;
  return (
    heldRefusal(reason, { limitNanoUsd: capNanoUsd, ...use }, leastNanoUsd) ?? {
      reason,
      capNanoUsd,
      usedNanoUsd: nanoUsd(use.spentNanoUsd + use.heldNanoUsd),
      resetAtMs: periodEndMs(capPeriod, nowMs),
    }
  );
}

/** The refusal of a request for which there would be room if nothing were held; null: there would be none. */
export function heldRefusal(
  bound: HoldBound,
  { limitNanoUsd, spentNanoUsd, heldNanoUsd }: CapUse & { readonly limitNanoUsd: NanoUsd },
  leastNanoUsd: NanoUsd,
): HeldRefusal | null {
  if (spentNanoUsd + leastNanoUsd > limitNanoUsd) return null;
  const held = { limitNanoUsd, spentNanoUsd, heldNanoUsd, retryAfterMs: HELD_RETRY_MS };
  return { reason: 'held_by_requests', bound, ...held };
}

/** The rest of the cap after the spend that is posted and held; null: no cap. */
export function capLeft({ capNanoUsd }: Pick<Cap, 'capNanoUsd'>, use: CapUse): NanoUsd | null {
  if (capNanoUsd === null) return null;
  return nanoUsd(Math.max(0, capNanoUsd - use.spentNanoUsd - use.heldNanoUsd));
}

/** Ids of the other keys against whose caps the spend counts. */
export function sharingIds(shared: SharedCaps | undefined): string[] {
  return [shared?.lineageId, shared?.manager?.keyId].filter((id) => typeof id === 'string');
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
