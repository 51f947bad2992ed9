/**
 * The sandbox's checkout: a page with a form, on whose submission the sandbox sends a signed event. Anybody who knows
 * the order id may pay it, as with any provider's checkout link: its 80 random bits cannot be guessed, and paying
 * another account's order only gives that account credit that moved no money.
 */
import { database } from '../../db/client.ts';
import { findOrder, type PaymentOrder } from '../../db/payments.ts';
import { isId } from '../../domain/ids.ts';
import { config, type Env } from '../../env.ts';
import { describeError } from '../../lib/describe-error.ts';
import { CheckoutPage, UnknownPage } from './page.tsx';
import { BILLING_PAGE_PATH, page, sandboxPages } from './pages.ts';
import { SANDBOX, SANDBOX_CHECKOUT_PATH, sandboxProvider } from './sandbox.ts';
import { sendOutcome } from './send.ts';
import { languageOf } from './words.ts';

export const sandboxCheckout = sandboxPages(SANDBOX_CHECKOUT_PATH);

sandboxCheckout.get('/:orderId', async (c) => {
  const language = languageOf(c);
  const order = await sandboxOrder(c.env, c.req.param('orderId'));
  if (order === null) return c.html(page(<UnknownPage language={language} />), 404);
  return c.html(page(<CheckoutPage order={order} language={language} />));
});

sandboxCheckout.post('/:orderId', async (c) => {
  const language = languageOf(c);
  const order = await sandboxOrder(c.env, c.req.param('orderId'));
  if (order === null) return c.html(page(<UnknownPage language={language} />), 404);

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
  return order?.provider === SANDBOX && order.kind === 'checkout' ? order : null;
}

async function deliver(env: Env, order: PaymentOrder, decision: 'paid' | 'declined'): Promise<boolean> {
  const declines = decision === 'paid' ? null : 'card_declined';
  try {
    return await sendOutcome(env, sandboxProvider(env), { order, declines });
  } catch (error) {
    console.error(
      JSON.stringify({ event: 'sandbox_undelivered', order: order.id, error: describeError(error) }),
    );
    return false;
  }
}
