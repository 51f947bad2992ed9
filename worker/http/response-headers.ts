/** Headers of every response: those of safe-headers.ts, the request id, the processing time and the remaining rate limits. */
import type { Context, MiddlewareHandler } from 'hono';
import { newId } from '../domain/ids.ts';
import type { RateLimitState } from '../domain/limits.ts';
import type { RateState } from '../domain/rate-limit.ts';
import type { Env } from '../env.ts';
import { TtlCache } from '../lib/ttl-cache.ts';
import type { Principal } from './authenticate.ts';
import { ALWAYS, UNLESS_SET } from './safe-headers.ts';
import { rateHeaders } from './write-limit.ts';

export interface Api {
  Bindings: Env;
  Variables: {
    requestId: string;
    startedMs: number;
    /** Set once the caller is authenticated; always set behind `authorized` (access.ts). */
    principal: Principal;
    /** The state that the Wallet reported with the hold. */
    rateLimit?: RateLimitState;
    /** The rate limit under which a call that generates nothing was counted. */
    callLimit?: RateState;
    /** True when the handler has put all of these headers on its Response itself. */
    hasResponseHeaders?: boolean;
  };
}
export type ApiContext = Context<Api>;

/**
 * Rate limits by key id, as last reported to this isolate. A request that was rejected before it reached the Wallet takes
 * its headers from here, so that a flood of such requests does not become a flood of Wallet calls.
 */
const RATE_LIMIT_TTL_MS = 5_000;
const rateLimits = new TtlCache<string, RateLimitState>({ ttlMs: RATE_LIMIT_TTL_MS, sizeMax: 10_000 });

/** Names whose value stays where a handler has set one. */
const KEPT: ReadonlySet<string> = new Set([
  ...Object.keys(responseHeaders({ requestId: '' })),
  ...Object.keys(UNLESS_SET),
]);

export function withResponseHeaders(): MiddlewareHandler<Api> {
  return async function setResponseHeaders(c, next) {
    const startedMs = Date.now();
    const requestId = newId('req', startedMs);
    c.set('requestId', requestId);
    c.set('startedMs', startedMs);
    await next();
    if (c.get('hasResponseHeaders')) return;
    const { headers } = c.res;
    for (const [name, value] of Object.entries(await allHeaders(c))) {
      if (!(KEPT.has(name) && headers.has(name))) headers.set(name, value);
    }
  };
}

/**
 * All headers at once, for a handler that constructs its Response itself: setting them one by one afterwards costs more. The
 * middleware then adds none.
 */
export function collectResponseHeaders(c: ApiContext): Promise<Record<string, string>> {
  c.set('hasResponseHeaders', true);
  return allHeaders(c);
}

async function allHeaders(c: ApiContext): Promise<Record<string, string>> {
  const headers: Record<string, string> = {
    ...ALWAYS,
    ...UNLESS_SET,
    ...responseHeaders({ requestId: c.get('requestId') }),
    'openai-processing-ms': String(Date.now() - c.get('startedMs')),
  };
  const callLimit = c.get('callLimit');
  if (callLimit) return Object.assign(headers, rateHeaders(callLimit));
  const rateLimit = await rateLimitOf(c);
  for (const kind of ['requests', 'tokens'] as const) {
    const state = rateLimit?.[kind];
    if (state) Object.assign(headers, rateHeaders(state, kind));
  }
  return headers;
}

/** The request id under OpenAI's header name and under Anthropic's. */
export function responseHeaders({ requestId }: { requestId: string }) {
  return { 'x-request-id': requestId, 'request-id': requestId };
}

/** Null when the caller was not authenticated or the Wallet does not reply: a response must not fail for its headers. */
async function rateLimitOf(c: ApiContext): Promise<RateLimitState | null> {
  const principal = c.get('principal') as Principal | undefined;
  if (!principal) return null;
  const { accountId, keyId, limits } = principal;
  const reported = c.get('rateLimit');
  const nowMs = Date.now();
  const state = reported ?? rateLimits.get(keyId, nowMs);
  if (state) {
    if (reported) rateLimits.set(keyId, reported, nowMs);
    return state;
  }
  const fetched = await c.env.WALLET.getByName(accountId)
    .rateLimit({ keyId, limits })
    .catch(() => null);
  if (fetched) rateLimits.set(keyId, fetched, nowMs);
  return fetched;
}
