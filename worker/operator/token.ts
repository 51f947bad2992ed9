/** Authentication of the operator API by a bearer token, and what the token may call. */
import type { Context } from 'hono';
import { createMiddleware } from 'hono/factory';
import type { Env } from '../env.ts';
import { refuse } from '../http/control-error.ts';
import { routeOf } from '../http/route-of.ts';
import { operatorCaller } from '../identity/operator-tokens.ts';
import { neededScope } from './scopes.ts';

export interface OperatorEnv {
  Bindings: Env;
  Variables: {
    /** Names the token in the audit trail. */
    actor: string;
  };
}

export type OperatorContext = Context<OperatorEnv>;

/** Lets a token through to the routes of its scopes. An unknown path goes on, to its 404. */
export const operatorsOnly = createMiddleware<OperatorEnv>(async function operatorsOnly(c, next) {
  const token = /^Bearer (.+)$/.exec(c.req.header('authorization') ?? '')?.[1] ?? '';
  const caller = await operatorCaller(c.env, token, Date.now());
  if (caller === null) return refuse(c, 'operator_token_invalid');
  const { actor, scopes } = caller;
  const pattern = routeOf(c);
  if (pattern !== '*') {
    const needed = neededScope(c.req.method, pattern.replace(/^\/operator\/api/, ''));
    if (needed === null) return refuse(c, 'operator_route_closed');
    const may = scopes === null || (needed !== 'deploy-token' && scopes.includes(needed));
    if (!may) return refuse(c, 'operator_scope_missing', { detail: needed });
  }
  c.set('actor', actor);
  await next();
});
