/** Authentication of the operator API: one bearer token, compared in constant time. */
import { createMiddleware } from 'hono/factory';
import { config, type Env } from '../env.ts';
import { refuse } from '../http/control-error.ts';

/** The actor in the audit trail for calls made with the token. */
export const OPERATOR_TOKEN_ACTOR = 'operator-token';

export const operatorsOnly = createMiddleware<{ Bindings: Env }>(async function operatorsOnly(c, next) {
  const token = /^Bearer (.+)$/.exec(c.req.header('authorization') ?? '')?.[1] ?? '';
  if (!(await isSame(token, config(c.env).operatorToken))) return refuse(c, 'operator_token_invalid');
  await next();
});

/**
 * Compares digests, which all have one length, so that the time taken reveals neither content nor length of the
 * token.
 */
async function isSame(a: string, b: string): Promise<boolean> {
  const digest = (text: string) => crypto.subtle.digest('SHA-256', new TextEncoder().encode(text));
  const [left, right] = await Promise.all([digest(a), digest(b)]);
  return crypto.subtle.timingSafeEqual(left, right);
}
