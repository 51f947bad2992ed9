/**
 * Parts whose modules are made when the first request asks for them: sign-in, charts, PDF and payments are two thirds of
 * the bundle, and an isolate that starts for an API request waits for none of it.
 */
import type { Context, Hono } from 'hono';
import type { Env } from './env.ts';

/** A handler for all that `load` answers. */
// biome-ignore lint/suspicious/noExplicitAny: whatever variables the part has, it sets them itself
export function later(load: () => Promise<Hono<any>>) {
  return async function loadedPart(c: Context<{ Bindings: Env }>): Promise<Response> {
    const part = await load();
    return part.fetch(c.req.raw, c.env, c.executionCtx);
  };
}
