/** The rest of the limits per minute, as response headers report it: the tighter of the key's and the account's. */

import type { MinuteLimitState, RateLimitState } from '../domain/limits.ts';
import { LIMIT_SCOPES, type LimitScope, type Load, type ScopedLimits } from '../domain/limits.ts';

const MINUTE_MS = 60_000;

export function rateLimitState(
  limits: ScopedLimits,
  loads: Readonly<Record<LimitScope, Load>>,
): RateLimitState {
  const requests = LIMIT_SCOPES.map((scope) => {
    const { requestsLastMinute: used, oldestRequestAgeMs } = loads[scope];
    return state(limits[scope].requestsPerMinute, used, MINUTE_MS - oldestRequestAgeMs);
  });
  const tokens = LIMIT_SCOPES.flatMap((scope) => {
    const { tokensLastMinute: used, tokensFreeInMs } = loads[scope];
    const limit = limits[scope].tokensPerMinute;
    return limit === null ? [] : [state(limit, used, tokensFreeInMs ?? MINUTE_MS)];
  });
  return { requests: tightest(requests)!, tokens: tightest(tokens) };
}

function state(limit: number, used: number, resetMs: number): MinuteLimitState {
  return { limit, remaining: Math.max(0, limit - used), resetMs: Math.max(1, resetMs) };
}

function tightest(states: readonly MinuteLimitState[]): MinuteLimitState | null {
  return states.toSorted((a, b) => a.remaining - b.remaining)[0] ?? null;
}
