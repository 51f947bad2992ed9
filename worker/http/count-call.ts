/** Counts calls of the API that generate nothing. Loaded with the first of them: see write-limit.ts. */
import { limitText, RATE_RULES, type RateRuleName } from '../domain/rate-limit.ts';
import { takeAttempt } from '../rate-limits/attempts.ts';
import type { ApiError } from './api-error.ts';
import type { ApiContext } from './response-headers.ts';

/** Counts a call of an authenticated principal. @returns the error of a call beyond a limit; null: go on */
export async function countCall(
  c: ApiContext,
  rules: readonly RateRuleName[],
  nowMs: number,
): Promise<ApiError | null> {
  const { keyId, accountId } = c.get('principal');
  const attempts = rules.map((rule) => {
    return { rule, subject: RATE_RULES[rule].per === 'key' ? keyId : accountId };
  });
  const { allowed, retryAfterMs, state } = await takeAttempt(c.env, attempts, nowMs);
  if (state !== null) c.set('callLimit', state);
  return allowed ? null : { reason: 'too_many_calls', limit: state && limitText(state), retryAfterMs };
}
