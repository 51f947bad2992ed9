/** Access to routes: each route names the kinds of principal that may call it, where it is mounted. */
import type { MiddlewareHandler } from 'hono';
import type { PrincipalKind } from '../domain/principal-kind.ts';
import { config } from '../env.ts';
import { type ApiError, errorResponse } from './api-error.ts';
import { authenticate, type Principal } from './authenticate.ts';
import type { Api, ApiContext } from './response-headers.ts';

/** Any key of the account: for routes that read the account's data. */
export const ANY_KEY = ['inference', 'management'] as const;
/** The principals that may call models. */
export const CAN_INFER = ['inference', 'token'] as const;
/** Every principal there is. */
export const ANY_PRINCIPAL = ['inference', 'management', 'token'] as const;

/** Middleware that rejects every other kind of principal. The route behind it can rely on `c.get('principal')`. */
export function authorized(...kinds: readonly PrincipalKind[]): MiddlewareHandler<Api> {
  return async function requirePrincipal(c, next) {
    const identified = await identify(c, kinds, Date.now());
    if (!identified.ok) return errorResponse(identified.error, config(c.env).publicOrigin);
    await next();
  };
}

/**
 * Authenticates the caller and checks its kind. The principal is set on the context even when its kind is not allowed, so
 * that the response headers state its rate limits.
 */
export async function identify(
  c: ApiContext,
  kinds: readonly PrincipalKind[],
  nowMs: number,
): Promise<{ ok: true; principal: Principal } | { ok: false; error: ApiError }> {
  const authenticated = await authenticate(c.req.raw, c.env, nowMs);
  if (!authenticated.ok) return authenticated;
  const { principal } = authenticated;
  c.set('principal', principal);
  if (kinds.includes(principal.kind)) return authenticated;
  return { ok: false, error: { reason: 'not_for_this_key', kind: principal.kind } };
}
