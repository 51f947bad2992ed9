/** What every answer of the API says in its headers: which request it is, how long it took, what is left of the limits. */
import type { Context, MiddlewareHandler } from 'hono';
import { newId } from '../domain/ids.ts';
import type { RateLimitState } from '../domain/limits.ts';
import type { Env } from '../env.ts';
import { TtlCache } from '../lib/ttl-cache.ts';
import type { Principal } from './authenticate.ts';

export interface Api {
  Bindings: Env;
  Variables: {
    requestId: string;
    startedMs: number;
    /** as soon as it is known who asks: behind `by` always */
    principal: Principal;
    /** as the Wallet said with the hold */
    rateLimit?: RateLimitState;
    /** its Response has all of these headers */
    isHeaded?: boolean;
  };
}
export type ApiContext = Context<Api>;

/** What one isolate knows of a key's limits; a refusal that never came to the Wallet need not ask it each time. */
const KNOWN_MS = 5_000;
const known = new TtlCache<string, RateLimitState>({ ttlMs: KNOWN_MS, sizeMax: 10_000 });

export function withResponseHeaders(): MiddlewareHandler<Api> {
  return async function answerHeadersOf(c, next) {
    const startedMs = Date.now();
    const requestId = newId('req', startedMs);
    c.set('requestId', requestId);
    c.set('startedMs', startedMs);
    await next();
    if (c.get('isHeaded')) return;
    const { headers } = c.res;
    for (const [name, value] of Object.entries(await allHeaders(c))) {
      if (!(name in responseHeaders({ requestId }) && headers.has(name))) headers.set(name, value);
    }
  };
}

/** All that an answer is to say, for whoever makes its Response: one by one they cost more than all together. */
export function headersAtOnce(c: ApiContext): Promise<Record<string, string>> {
  c.set('isHeaded', true);
  return allHeaders(c);
}

async function allHeaders(c: ApiContext): Promise<Record<string, string>> {
  const headers: Record<string, string> = {
    ...responseHeaders({ requestId: c.get('requestId') }),
    'openai-processing-ms': String(Date.now() - c.get('startedMs')),
  };
  const rateLimit = await rateLimitOf(c);
  for (const kind of ['requests', 'tokens'] as const) {
    const state = rateLimit?.[kind];
    if (!state) continue;
    headers[`x-ratelimit-limit-${kind}`] = String(state.limit);
    headers[`x-ratelimit-remaining-${kind}`] = String(state.remaining);
    headers[`x-ratelimit-reset-${kind}`] = `${Math.ceil(state.resetMs / 1000)}s`;
  }
  return headers;
}

/** OpenAI's name of it and Anthropic's. */
export function responseHeaders({ requestId }: { requestId: string }) {
  return { 'x-request-id': requestId, 'request-id': requestId };
}

/** Null where nobody was recognised, or the Wallet is silent: an answer is not lost for its headers. */
async function rateLimitOf(c: ApiContext): Promise<RateLimitState | null> {
  const principal = c.get('principal') as Principal | undefined;
  if (!principal) return null;
  const { accountId, keyId, limits } = principal;
  const fresh = c.get('rateLimit');
  const nowMs = Date.now();
  const state = fresh ?? known.get(keyId, nowMs);
  if (state) {
    if (fresh) known.set(keyId, fresh, nowMs);
    return state;
  }
  const asked = await c.env.WALLET.getByName(accountId)
    .rateLimit({ keyId, limits })
    .catch(() => null);
  if (asked) known.set(keyId, asked, nowMs);
  return asked;
}
