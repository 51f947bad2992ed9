/**
 * The Worker's entry: its routes in order of matching, the queue's consumer, the scheduled work, and the Durable
 * Objects it exports.
 */
import { Hono } from 'hono';
import { RegExpRouter } from 'hono/router/reg-exp-router';
import { api } from './api/index.ts';
import { config, type Env } from './env.ts';
import { fleet } from './fleet/index.ts';
import { dialects } from './gateway/dialects/index.ts';
import { envelope, errorResponse, errorResponseWith } from './http/api-error.ts';
import { corsForTokens } from './http/cors.ts';
import { lazy } from './http/lazy.ts';
import { type Api, type ApiContext, withResponseHeaders } from './http/response-headers.ts';
import { routeOf } from './http/route-of.ts';
import { describeError } from './lib/describe-error.ts';

export { Batch } from './batches/batch.ts';
export { Pool } from './fleet/pool.ts';
export { RateLimiter } from './rate-limits/rate-limiter.ts';
export { Wallet } from './wallet/wallet.ts';

// RegExpRouter matches in one regular expression. It throws for routes it cannot express, where Hono's default would
// silently fall back to a slower router.
const app = new Hono<Api>({ router: new RegExpRouter() });

app.use(withResponseHeaders());
for (const path of ['/v1/*', '/anthropic/*', '/beta/*', '/chat/*', '/completions', '/models/*']) {
  app.use(path, corsForTokens());
}

app.route('/', api);
app.route('/', fleet);

app.all('/anthropic/*', async (c) => {
  const error = { reason: 'route_not_found' } as const;
  const dialect = await dialects.anthropicMessages();
  const body = dialect.errorBody(envelope(error, config(c.env).publicOrigin), c.get('requestId'));
  return errorResponseWith(error, body);
});

// An unknown path under an API prefix gets an API error, not a page: a program made the call.
for (const path of ['/v1', '/v1/*', '/beta/*', '/user/*', '/chat/*', '/completions']) {
  app.all(path, (c) => errorResponse({ reason: 'route_not_found' }, config(c.env).publicOrigin));
}

app.all('*', lazy(site));

app.onError((error, c: ApiContext) => {
  const route = failedRoutes.get(c.req.raw) ?? routeOf(c);
  const event = { event: 'unhandled', requestId: c.get('requestId'), route };
  console.error(JSON.stringify({ ...event, error: describeError(error) }));
  return errorResponse({ reason: 'internal' }, new URL(c.req.url).origin);
});

/** For a request that failed in `site`: the pattern of its route, for the log. */
const failedRoutes = new WeakMap<Request, string>();

let loadedSite: Hono<{ Bindings: Env }> | null = null;

/**
 * The routes of the portal, of payment providers and of the operator's scripts. The portal comes last, since it
 * answers every path.
 */
async function site(): Promise<Hono<{ Bindings: Env }>> {
  if (loadedSite !== null) return loadedSite;
  const [{ operator }, { billing }, { portal }] = await Promise.all([
    import('./operator/index.ts'),
    import('./billing/index.ts'),
    import('./portal/index.tsx'),
  ]);
  const routes = new Hono<{ Bindings: Env }>();
  // Errors are passed on to the Worker's own handler above, which does not know these routes.
  routes.onError((error, c) => {
    failedRoutes.set(c.req.raw, routeOf(c));
    throw error;
  });
  routes.route('/operator/api', operator);
  routes.route('/', billing);
  routes.route('/', portal);
  loadedSite = routes;
  return routes;
}

/** Runs once a minute; see wrangler.toml. */
async function scheduled({ scheduledTime }: ScheduledController, env: Env): Promise<void> {
  const { probeAll } = await import('./fleet/probe.ts');
  await probeAll(env, { nowMs: scheduledTime, random: Math.random() });
}

async function queue(batch: MessageBatch<unknown>, env: Env): Promise<void> {
  const tasks = await import('./queue.ts');
  await tasks.queue(batch, env);
}

export default { fetch: app.fetch, queue, scheduled } satisfies ExportedHandler<Env>;
