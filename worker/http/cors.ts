/**
 * Browsers may ask with a short-lived token, from anywhere. A key in a page is a key that leaked: its answers say nothing
 * to the page. A preflight names no caller, so it is answered for all.
 */
import type { MiddlewareHandler } from 'hono';
import { cors } from 'hono/cors';
import { isToken, secretOf } from './authenticate.ts';
import type { Api } from './response-headers.ts';

/** Chromium's own bound: a preflight a request would double its latency. */
const PREFLIGHT_S = 7_200;

const open = cors({
  origin: '*',
  allowMethods: ['GET', 'POST'],
  exposeHeaders: [
    'x-request-id',
    'openai-processing-ms',
    'retry-after',
    'retry-after-ms',
    'x-should-retry',
    'idempotent-replayed',
    ...['requests', 'tokens'].flatMap((kind) =>
      ['limit', 'remaining', 'reset'].map((what) => `x-ratelimit-${what}-${kind}`),
    ),
  ],
  maxAge: PREFLIGHT_S,
});

export function corsForTokens(): MiddlewareHandler<Api> {
  return async function corsForToken(c, next) {
    const secret = secretOf(c.req.raw.headers);
    if (c.req.method === 'OPTIONS' || (secret !== null && isToken(secret))) return open(c, next);
    return next();
  };
}
