/** Rate limits of routes: which requests count as writes, and how a response states a limit. */
import type { Context, MiddlewareHandler } from 'hono';
import { RATE_RULES, type RateState } from '../domain/rate-limit.ts';
import { clientAddress, takeAttempt } from '../rate-limits/attempts.ts';
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

const WINDOW_NAMES: Readonly<Record<number, string>> = {
  60000: 'minute',
  600000: '10 minutes',
  3600000: 'hour',
  86400000: 'day',
};

/** A limit in words: "60 changes through the API per minute and key". */
export function limitText({ rule, limit }: Pick<RateState, 'rule' | 'limit'>): string {
  const { counts, per, windowMs } = RATE_RULES[rule];
  return `${limit} ${counts} per ${WINDOW_NAMES[windowMs]} and ${per}`;
}

/** Middleware of the fleet's and the operator's routes that counts writes under a rule. @param subjectOf the attempt's subject */
export function limitWrites(
  rule: 'change_operator' | 'enrol_network' | 'form_network',
  subjectOf: (c: Context) => string = (c) => clientAddress(c.req.raw.headers),
): MiddlewareHandler {
  return async function limitWrites(c, next) {
    if (!isWrite(c.req.method)) return next();
    const { allowed, retryAfterMs, state } = await takeAttempt(
      c.env,
      [{ rule, subject: subjectOf(c) }],
      Date.now(),
    );
    if (state !== null) for (const [name, value] of Object.entries(rateHeaders(state))) c.header(name, value);
    if (allowed) return next();
    c.header('retry-after', String(Math.ceil(retryAfterMs / 1000)));
    return refuse(c, 'rate_limited', state === null ? {} : { detail: `The limit is ${limitText(state)}.` });
  };
}
