/**
 * Lazy loading: modules that are evaluated when the first request needs them. Sign-in, charts, PDF and payments are two
 * thirds of the bundle, and building the body schemas is most of the time that module evaluation takes; an isolate that
 * starts to serve a completion waits for none of it.
 */
import type { Context, Hono } from 'hono';
import type { Env } from '../env.ts';
import type { ApiContext } from './response-headers.ts';

/** A handler that passes every request on to the app that `load` returns. */
// biome-ignore lint/suspicious/noExplicitAny: the app sets its context variables itself, so their types do not matter here
export function lazy(load: () => Promise<Hono<any>>) {
  return async function loadedApp(c: Context<{ Bindings: Env }>): Promise<Response> {
    const app = await load();
    return app.fetch(c.req.raw, c.env, c.executionCtx);
  };
}

type Handler = (c: ApiContext) => Response | Promise<Response>;
type Handlers<Module> = { [Name in keyof Module as Module[Name] extends Handler ? Name : never]: Handler };

/** Handlers of a lazily loaded module, by export name. Each runs in the context of the request that called it. */
export function lazyFrom<Module>(load: () => Promise<Module>) {
  return (name: keyof Handlers<Module>): Handler =>
    async function loadedHandler(c) {
      const handlers = (await load()) as Handlers<Module>;
      return handlers[name](c);
    };
}
