/**
 * CORS: browsers may call the API from any origin with a short-lived token. An API key in a page has leaked, so responses to
 * keys get no CORS headers and the page cannot read them. A preflight carries no credentials, so every one is allowed.
 */
import type { MiddlewareHandler } from 'hono';
import { cors } from 'hono/cors';
import { isToken, secretOf } from './authenticate.ts';
import type { Api } from './response-headers.ts';

/** The longest that Chromium caches a preflight. One preflight per request would double its latency. */
const PREFLIGHT_S = 7_200;

const allowAnyOrigin = cors({
  origin: '*',
  allowMethods: ['GET', 'POST'],
  exposeHeaders: [
    'x-request-id',
    'openai-processing-ms',
    'retry-after',
    'retry-after-ms',
    'x-should-retry',
    'idempotent-replayed',
    'x-tollgate-ignored',
    'deprecation',
    'sunset',
    'x-tollgate-successor',
    ...['requests', 'tokens'].flatMap((kind) =>
      ['limit', 'remaining', 'reset'].map((field) => `x-ratelimit-${field}-${kind}`),
    ),
  ],
  maxAge: PREFLIGHT_S,
});

export function corsForTokens(): MiddlewareHandler<Api> {
  return async function allowTokens(c, next) {
    const secret = secretOf(c.req.raw.headers);
    if (c.req.method === 'OPTIONS' || (secret !== null && isToken(secret))) return allowAnyOrigin(c, next);
    return next();
  };
}
