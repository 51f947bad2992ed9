/**
 * The sandbox's checkout: a page, and the form whose press makes the sandbox send a signed event.
 * Who knows the order id may pay it, as with any provider's checkout link: its 80 random bits cannot be guessed, and
 * paying somebody else's order only gives them credit that moved no money.
 */
import { Hono } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { csrf } from 'hono/csrf';
import { html } from 'hono/html';
import { HTTPException } from 'hono/http-exception';
import { secureHeaders } from 'hono/secure-headers';
import { database } from '../db/client.ts';
import { findOrder, type PaymentOrder } from '../db/payments.ts';
import { isId } from '../domain/ids.ts';
import { config, type Env } from '../env.ts';
import { NANO_PER_CENT } from './provider.ts';
import { SANDBOX, SANDBOX_CHECKOUT_PATH, sandboxEvent } from './sandbox.ts';
import { BILLING_PAGE_PATH, CheckoutPage, UnknownOrderPage } from './sandbox-page.tsx';
import { languageOf } from './sandbox-words.ts';
import { webhook } from './webhook.ts';

export const sandboxCheckout = new Hono<{ Bindings: Env }>().basePath(SANDBOX_CHECKOUT_PATH);

// The guards below throw their refusals; only what is a fault goes on to the whole Worker's handler.
sandboxCheckout.onError((error) => {
  if (error instanceof HTTPException) return error.getResponse();
  throw error;
});

sandboxCheckout.use(
  bodyLimit({ maxSize: 1024 }),
  csrf({ origin: (origin, c) => origin === config(c.env).publicOrigin }),
  secureHeaders({
    contentSecurityPolicy: {
      defaultSrc: ["'none'"],
      styleSrc: ["'self'"],
      formAction: ["'self'"],
      baseUri: ["'none'"],
      frameAncestors: ["'none'"],
    },
    referrerPolicy: 'same-origin',
  }),
  async function neverStored(c, next) {
    await next();
    c.header('cache-control', 'no-store');
  },
);

sandboxCheckout.get('/:orderId', async (c) => {
  const language = languageOf(c);
  const order = await sandboxOrder(c.env, c.req.param('orderId'));
  if (order === null) return c.html(page(<UnknownOrderPage language={language} />), 404);
  return c.html(page(<CheckoutPage order={order} language={language} />));
});

sandboxCheckout.post('/:orderId', async (c) => {
  const language = languageOf(c);
  const order = await sandboxOrder(c.env, c.req.param('orderId'));
  if (order === null) return c.html(page(<UnknownOrderPage language={language} />), 404);

  const { decision } = await c.req.parseBody();
  if (decision !== 'paid' && decision !== 'declined') {
    return c.html(page(<CheckoutPage order={order} language={language} />), 400);
  }
  if (!(await deliver(c.env, order, decision))) {
    return c.html(page(<CheckoutPage order={order} language={language} failed />), 502);
  }
  const outcome = decision === 'paid' ? `order=${order.id}` : 'top_up=declined';
  return c.redirect(`${BILLING_PAGE_PATH}?${outcome}`, 303);
});

async function sandboxOrder(env: Env, orderId: string): Promise<PaymentOrder | null> {
  if (!config(env).development || !isId('order', orderId)) return null;
  const order = await findOrder(database(env), orderId);
  return order?.provider === SANDBOX ? order : null;
}

/** Through the webhook's own door, as a provider would over HTTP, only without the network. */
async function deliver(env: Env, order: PaymentOrder, decision: 'paid' | 'declined'): Promise<boolean> {
  const payment = {
    orderId: order.id,
    amountCents: order.amountNanoUsd / NANO_PER_CENT,
    currency: order.currency,
    decision,
  };
  const { headers, body } = await sandboxEvent(config(env), payment, Date.now());
  const response = await webhook.request(`/webhooks/${SANDBOX}`, { method: 'POST', headers, body }, env);
  return response.ok;
}

function page(content: ReturnType<typeof CheckoutPage>) {
  return html`<!doctype html>${content}`;
}
