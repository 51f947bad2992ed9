/**
 * Parts whose modules are made when the first request asks for them. Sign-in, charts, PDF and payments are two thirds of the
 * bundle, and schemas of bodies take most of the time that modules take: an isolate that starts for an answer waits for none
 * of it.
 */
import type { Context, Hono } from 'hono';
import type { Env } from '../env.ts';
import type { ApiContext } from './response-headers.ts';

/** A handler for all that `load` answers. */
// biome-ignore lint/suspicious/noExplicitAny: whatever variables the part has, it sets them itself
export function lazy(load: () => Promise<Hono<any>>) {
  return async function loadedPart(c: Context<{ Bindings: Env }>): Promise<Response> {
    const part = await load();
    return part.fetch(c.req.raw, c.env, c.executionCtx);
  };
}

type Handler = (c: ApiContext) => Response | Promise<Response>;
type Handlers<Module> = { [Name in keyof Module as Module[Name] extends Handler ? Name : never]: Handler };

/** Handlers of a module, by name, each in the context of the request that asks for it. */
export function lazyFrom<Module>(load: () => Promise<Module>) {
  return (name: keyof Handlers<Module>): Handler =>
    async function loadedHandler(c) {
      const handlers = (await load()) as Handlers<Module>;
      return handlers[name](c);
    };
}
