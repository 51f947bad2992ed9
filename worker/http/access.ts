/** Access to routes: each route names the kinds of principal that may call it, where it is mounted. */
import type { MiddlewareHandler } from 'hono';
import type { PrincipalKind } from '../domain/principal-kind.ts';
import { config } from '../env.ts';
import { type ApiError, errorResponse } from './api-error.ts';
import { authenticate, type Principal } from './authenticate.ts';
import type { Api, ApiContext } from './response-headers.ts';
import { isWrite } from './write-limit.ts';

/** Any key of the account: for routes that read the account's data. */
export const ANY_KEY = ['inference', 'management'] as const;
/** The principals that may call models. */
export const CAN_INFER = ['inference', 'token'] as const;
/** Every principal there is. */
export const ANY_PRINCIPAL = ['inference', 'management', 'token'] as const;

/** The rules that count every write, unless the route names others. */
const WRITE_RULES = ['change_key', 'change_key_day', 'change_account'] as const;
export const COUNT_RULES = ['count_key', 'count_account'] as const;
type CallRule =
  | (typeof WRITE_RULES | typeof COUNT_RULES)[number]
  | 'token_key'
  | 'download_key'
  | 'stored_key';

/**
 * Middleware that rejects every other kind of principal, and writes beyond their rate limit. The route behind it can rely
 * on `c.get('principal')`.
 */
export function authorized(...kinds: readonly PrincipalKind[]): MiddlewareHandler<Api> {
  return access(kinds, (method) => (isWrite(method) ? WRITE_RULES : []));
}

/** The same for a route, of whatever method, that is counted under a rule of its own. */
export function authorizedWithin(rule: CallRule, ...kinds: readonly PrincipalKind[]): MiddlewareHandler<Api> {
  return access(kinds, () => [rule]);
}

function access(
  kinds: readonly PrincipalKind[],
  rulesOf: (method: string) => readonly CallRule[],
): MiddlewareHandler<Api> {
  return async function requirePrincipal(c, next) {
    const nowMs = Date.now();
    const identified = await identify(c, kinds, nowMs);
    const rules = rulesOf(c.req.method);
    const error = identified.ok ? await countCall(c, rules, nowMs) : identified.error;
    if (error !== null) return errorResponse(error, config(c.env).publicOrigin);
    await next();
  };
}

/** Counts a call of an authenticated principal. @returns the error of a call beyond a limit; null: go on */
async function countCall(c: ApiContext, rules: readonly CallRule[], nowMs: number): Promise<ApiError | null> {
  if (rules.length === 0) return null;
  return (await import('./count-call.ts')).countCall(c, rules, nowMs);
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
