/** The edge as the simulation runs it: the real handlers on their routes, without portal, sign-up and Stripe. */
import { Hono } from 'hono';
// made later in an isolate; here each module is made before the first isolate starts, with the state that it will have
import '../../../worker/fleet/heartbeat.ts';
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
import { ANY_KEY, ANYBODY, authorized } from '../../../worker/http/access.ts';
import { errorResponse } from '../../../worker/http/api-error.ts';
import { withResponseHeaders } from '../../../worker/http/response-headers.ts';
import { pepperKey } from '../../../worker/tokens/pepper.ts';

export { Pool } from '../../../worker/fleet/pool.ts';
export { Wallet } from '../../../worker/wallet/wallet.ts';

export const app = new Hono();
app.use(withResponseHeaders());
app.post('/v1/chat/completions', generate(dialects.openaiChat));
app.get('/v1/generations/:id', authorized(...ANYBODY), getGeneration);
app.get('/v1/key', authorized(...ANYBODY), getKey);
app.get('/user/balance', authorized(...ANY_KEY), getBalance);
app.route('/', fleet);
app.route('/', webhook);
app.onError((error, c) => {
  console.error(JSON.stringify({ event: 'unhandled', error: String(error?.stack ?? error) }));
  return errorResponse({ reason: 'internal' }, new URL(c.req.url).origin);
});

/** What a person would do at the portal, before and beside the traffic. */
export const desk = {
  createKey: async (env, request) => createKey(database(env), await pepperKey(config(env)), request),
  beginTopUp,
};
