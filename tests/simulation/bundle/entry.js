/** The edge as the simulation runs it: the real handlers on their routes, without portal, sign-up and Stripe. */
import { Hono } from 'hono';
// an isolate loads this module lazily; here every module is evaluated before the first isolate starts, because the
// module state that an isolate will have must be known by then
import '../../../worker/fleet/heartbeat.ts';
import '../../../worker/gateway/idempotency/keyed.ts';
import { getBalance } from '../../../worker/api/balance.ts';
import { getGeneration } from '../../../worker/api/generations.ts';
import { getKey } from '../../../worker/api/key.ts';
import { beginTopUp } from '../../../worker/billing/top-up.ts';
import { webhook } from '../../../worker/billing/webhook.ts';
import { database } from '../../../worker/db/client.ts';
import { createKey } from '../../../worker/db/keys.ts';
import { config } from '../../../worker/env.ts';
import { fleet } from '../../../worker/fleet/index.ts';
import { dialects } from '../../../worker/gateway/dialects/index.ts';
import { generate } from '../../../worker/gateway/generate.ts';
import { ANY_KEY, ANY_PRINCIPAL, authorized } from '../../../worker/http/access.ts';
import { errorResponse } from '../../../worker/http/api-error.ts';
import { withResponseHeaders } from '../../../worker/http/response-headers.ts';
import { pepperKey } from '../../../worker/tokens/pepper.ts';

export { Pool } from '../../../worker/fleet/pool.ts';
export { Wallet } from '../../../worker/wallet/wallet.ts';

export const app = new Hono();
app.use(withResponseHeaders());
app.post('/v1/chat/completions', generate(dialects.openaiChat));
app.get('/v1/generations/:id', authorized(...ANY_PRINCIPAL), getGeneration);
app.get('/v1/key', authorized(...ANY_PRINCIPAL), getKey);
app.get('/user/balance', authorized(...ANY_KEY), getBalance);
app.route('/', fleet);
app.route('/', webhook);
app.onError((error, c) => {
  console.error(JSON.stringify({ event: 'unhandled', error: String(error?.stack ?? error) }));
  return errorResponse({ reason: 'internal' }, new URL(c.req.url).origin);
});

/** The actions of customers in the portal, before and beside their requests. */
export const portal = {
  createKey: async (env, request) => createKey(database(env), await pepperKey(config(env)), request),
  beginTopUp,
};
