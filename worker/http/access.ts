/** Who may ask a route, said where the route is mounted. */
import type { MiddlewareHandler } from 'hono';
import type { PrincipalKind } from '../domain/principal-kind.ts';
import { config } from '../env.ts';
import { type ApiError, errorResponse } from './api-error.ts';
import { authenticate, type Principal } from './authenticate.ts';
import type { Api, ApiContext } from './response-headers.ts';

/** Any key of the account: to look at what is the account's. */
export const ANY_KEY = ['inference', 'management'] as const;
/** Who is answered by models. */
export const INFERS = ['inference', 'token'] as const;
export const ANYBODY = ['inference', 'management', 'token'] as const;

/** Refuses everybody else; the route then has `c.get('principal')`. */
export function authorized(...kinds: readonly PrincipalKind[]): MiddlewareHandler<Api> {
  return async function byKind(c, next) {
    const who = await identify(c, kinds, Date.now());
    if (!who.ok) return errorResponse(who.refusal, config(c.env).publicOrigin);
    await next();
  };
}

/** What the answer says of limits is then that of whoever asked. */
export async function identify(
  c: ApiContext,
  kinds: readonly PrincipalKind[],
  nowMs: number,
): Promise<{ ok: true; principal: Principal } | { ok: false; refusal: ApiError }> {
  const who = await authenticate(c.req.raw, c.env, nowMs);
  if (!who.ok) return who;
  const { principal } = who;
  c.set('principal', principal);
  if (kinds.includes(principal.kind)) return who;
  return { ok: false, refusal: { reason: 'not_for_this_key', kind: principal.kind } };
}
