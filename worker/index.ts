/**
 * The Worker's entry: its routes in order of matching, the queue's consumer, the scheduled work, and the Durable
 * Objects it exports.
 */
import { Hono } from 'hono';
import { RegExpRouter } from 'hono/router/reg-exp-router';
import { api } from './api/index.ts';
import { config, type Env } from './env.ts';
import { fleet } from './fleet/index.ts';
import { errorResponseIn } from './gateway/dialects/error-response.ts';
import { dialects } from './gateway/dialects/index.ts';
import { allowedMethods, optionsResponse } from './http/allowed-methods.ts';
import { type ApiError, errorResponse } from './http/api-error.ts';
import { corsForTokens } from './http/cors.ts';
import { lazy } from './http/lazy.ts';
import { logRefusals } from './http/log-refusals.ts';
import { insecureAnswer } from './http/require-https.ts';
import { type Api, type ApiContext, withResponseHeaders } from './http/response-headers.ts';
import { routeOf } from './http/route-of.ts';
import { speaksAnthropic } from './http/speaks-anthropic.ts';
import { describeError } from './lib/describe-error.ts';

export { Batch } from './batches/batch.ts';
export { Pool } from './fleet/pool.ts';
export { RateLimiter } from './rate-limits/rate-limiter.ts';
export { ResponseStore } from './response-store/response-store.ts';
export { Wallet } from './wallet/wallet.ts';

// RegExpRouter matches in one regular expression. It throws for routes it cannot express, where Hono's default would
// silently fall back to a slower router.
const app = new Hono<Api>({ router: new RegExpRouter() });

app.use(withResponseHeaders(), logRefusals());
app.use(async function configured(c, next) {
  // an installation that is set up wrongly serves nothing, not even what needs no setting
  const { publicOrigin } = config(c.env);
  const insecure = insecureAnswer(c.req.raw, publicOrigin);
  if (insecure !== null) return insecure;
  await next();
});
for (const path of ['/v1/*', '/anthropic/*', '/beta/*', '/chat/*', '/completions', '/models/*']) {
  app.use(path, corsForTokens());
}

// OpenAI's form of files, which Anthropic's clients could not read
for (const path of ['/v1/files', '/v1/files/*']) {
  app.use(path, async function otherForm(c, next) {
    if (!speaksAnthropic(c.req.raw)) return next();
    const { notOffered } = await import('./http/not-offered.ts');
    return refuse(c, notOffered(c.req.path, true)!);
  });
}

app.route('/', api);
app.route('/', fleet);

const methodsOf = allowedMethods(() => app.routes);

/** The error of a path that no route took: it has no route, none with this method, or is not offered here. */
async function unrouted(c: ApiContext): Promise<ApiError> {
  const allowed = methodsOf(c.req.path);
  if (allowed.length > 0) return { reason: 'method_not_allowed', allowed };
  const { notOffered } = await import('./http/not-offered.ts');
  return notOffered(c.req.path, speaksAnthropic(c.req.raw)) ?? { reason: 'route_not_found' };
}

/** An error in the envelope of the API that the caller speaks. */
async function refuse(c: ApiContext, error: ApiError): Promise<Response> {
  if (!speaksAnthropic(c.req.raw)) return errorResponse(error, config(c.env).publicOrigin);
  return errorResponseIn(c, await dialects.anthropicMessages(), error);
}

// An unknown path under an API prefix gets an API error, not a page: a program made the call.
for (const path of ['/v1', '/v1/*', '/anthropic/*', '/beta/*', '/user/*', '/chat/*', '/completions']) {
  app.all(path, answerUnrouted);
}

async function answerUnrouted(c: ApiContext): Promise<Response> {
  const methods = methodsOf(c.req.path);
  const isAsked = c.req.method === 'OPTIONS' && methods.length > 0;
  return isAsked ? optionsResponse(methods) : refuse(c, await unrouted(c));
}

app.all('*', (c, next) => (methodsOf(c.req.path).length > 0 ? answerUnrouted(c) : next()), lazy(site));

app.onError((error, c: ApiContext) => {
  const route = failedRoutes.get(c.req.raw) ?? routeOf(c);
  const event = { event: 'unhandled', requestId: c.get('requestId'), route };
  console.error(JSON.stringify({ ...event, error: describeError(error) }));
  return errorResponse({ reason: 'internal' }, new URL(c.req.url).origin);
});

/** For a request that failed in `site`: the pattern of its route, for the log. */
const failedRoutes = new WeakMap<Request, string>();

/** Paths of the site that programs call, and the sandbox's. */
const PROGRAMS = /^\/(operator\/api|webhooks|sandbox)\//;

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
  routes.use(logRefusals());
  const methodsOfSite = allowedMethods(() => routes.routes);
  routes.use(async function programsMethods(c, next) {
    // people get a page instead, from the portal
    if (!PROGRAMS.test(c.req.path)) return next();
    const allowed = methodsOfSite(c.req.path);
    if (allowed.length === 0) return next();
    if (c.req.method === 'OPTIONS') return optionsResponse(allowed);
    if (allowed.includes(c.req.method)) return next();
    return errorResponse({ reason: 'method_not_allowed', allowed }, config(c.env).publicOrigin);
  });
  routes.route('/operator/api', operator);
  routes.route('/', billing);
  routes.route('/', portal);
  loadedSite = routes;
  return routes;
}

/** Runs once a minute; see wrangler.toml. */
async function scheduled({ scheduledTime }: ScheduledController, env: Env): Promise<void> {
  const [{ probeAll }, { archive }, { prune }, { tellOfModelEnds }] = await Promise.all([
    import('./fleet/probe.ts'),
    import('./archive/archive.ts'),
    import('./retention/prune.ts'),
    import('./notifications/model-ends.ts'),
  ]);
  const ended = await Promise.allSettled([
    probeAll(env, { nowMs: scheduledTime, random: Math.random() }),
    archive(env, { nowMs: scheduledTime, token: crypto.randomUUID() }),
    prune(env, scheduledTime),
    tellOfModelEnds(env, scheduledTime),
  ]);
  // Each is done whatever becomes of the others; the platform counts the run as failed when one has failed.
  for (const each of ended) if (each.status === 'rejected') throw each.reason;
}

async function queue(batch: MessageBatch<unknown>, env: Env): Promise<void> {
  const tasks = await import('./queue.ts');
  await tasks.queue(batch, env);
}

export default { fetch: app.fetch, queue, scheduled } satisfies ExportedHandler<Env>;
