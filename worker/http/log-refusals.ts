/** Logs every answer that refuses access, whatever part gave it: a key, a token, a role, a scope or a foreign form. */
import type { Context, MiddlewareHandler } from 'hono';
import { logSecurity } from '../lib/security-log.ts';
import type { Principal } from './authenticate.ts';
import { routeOf } from './route-of.ts';

const REFUSED: ReadonlySet<number> = new Set([401, 403]);

/** Middleware of a table of routes. A route of another table, which this one only passes on to, is logged by that. */
// biome-ignore lint/suspicious/noExplicitAny: every table sets variables of its own, and this reads only those that it finds
export function logRefusals(): MiddlewareHandler<any> {
  return async function logRefused(c, next) {
    await next();
    if (REFUSED.has(c.res.status) && routeOf(c) !== '*') logRefusal(c, c.res.status);
  };
}

/** Logs one refusal by route, status and the id of whoever was refused, as far as they are known. */
export function logRefusal(c: Context, status: number): void {
  const principal = c.get('principal') as Principal | undefined;
  const person = c.get('person') as { id: string } | null | undefined;
  const by = principal?.keyId ?? person?.id ?? (c.get('actor') as string | undefined) ?? null;
  logSecurity('access_refused', { method: c.req.method, route: routeOf(c), status, by });
}
