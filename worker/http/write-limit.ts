/**
 * Rate limits of routes: which requests count as writes, and how a response states a limit. The rules and the counting are
 * loaded with the first write, because no generation needs them.
 */
import type { Context, MiddlewareHandler } from 'hono';
import type { RateState } from '../domain/rate-limit.ts';
import { refuse } from './control-error.ts';

const READS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS']);

/** Whether a request may change something: every method that is not known to read does. */
export function isWrite(method: string): boolean {
  return !READS.has(method);
}

/** The headers that state a limit, with the names and forms of those of generation. */
export function rateHeaders(
  state: Pick<RateState, 'limit' | 'remaining' | 'resetMs'>,
  kind: 'requests' | 'tokens' = 'requests',
): Record<string, string> {
  return {
    [`x-ratelimit-limit-${kind}`]: String(state.limit),
    [`x-ratelimit-remaining-${kind}`]: String(state.remaining),
    [`x-ratelimit-reset-${kind}`]: `${Math.ceil(state.resetMs / 1000)}s`,
  };
}

/**
 * Middleware of the fleet's and the operator's routes that counts writes under a rule.
 * @param subjectOf the attempt's subject; default: the client's address
 */
export function limitWrites(
  rule: 'change_operator' | 'enrol_network' | 'form_network',
  subjectOf?: (c: Context) => string,
): MiddlewareHandler {
  return async function limitWrites(c, next) {
    if (!isWrite(c.req.method)) return next();
    const { clientAddress, takeAttempt } = await import('../rate-limits/attempts.ts');
    const subject = subjectOf ? subjectOf(c) : clientAddress(c.req.raw.headers);
    const { allowed, retryAfterMs, state } = await takeAttempt(c.env, [{ rule, subject }], Date.now());
    if (state !== null) for (const [name, value] of Object.entries(rateHeaders(state))) c.header(name, value);
    if (allowed) return next();
    c.header('retry-after', String(Math.ceil(retryAfterMs / 1000)));
    const { limitText } = await import('../domain/rate-limit.ts');
    return refuse(c, 'rate_limited', state === null ? {} : { detail: `The limit is ${limitText(state)}.` });
  };
}
