import { beforeEach, describe, expect, it, vi } from 'vitest';
import { recharge } from '../../../worker/billing/recharge/recharge.ts';
import { beginTopUp } from '../../../worker/billing/top-up.ts';
import { findAutoRecharge } from '../../../worker/db/auto-recharge.ts';
import { database } from '../../../worker/db/client.ts';
import { newId } from '../../../worker/domain/ids.ts';
import { usd } from '../../../worker/domain/money.ts';
import { env, newAccount, orderState, topUpEntries } from './fixtures.ts';
import {
  accountWithRecharge,
  FAILED,
  lastIntent,
  recharges,
  rule,
  runRecharge,
  SUCCEEDED,
} from './recharge-fixtures.ts';
import { available, corrections, deliver, send, withStripe } from './stripe-fixtures.ts';
import { stripe } from './stripe-fresh.ts';
import { dispute, refunded } from './stripe-reversals.ts';
import { stripeEvent } from './stripe-signed.ts';
import { chargeOf, type StripeObject } from './stripe-state.ts';

beforeEach(() => {
  vi.spyOn(console, 'warn').mockImplementation(() => {});
});

interface ChargedRecharge {
  readonly accountId: string;
  readonly orderId: string;
  readonly intent: StripeObject;
}

/** A recharge of $20 that was charged and whose event has not been delivered yet. */
async function chargedRecharge(): Promise<ChargedRecharge> {
  const accountId = await accountWithRecharge(stripe);
  await runRecharge(accountId);
  return { accountId, orderId: (await recharges(accountId))[0]!.id, intent: lastIntent(stripe) };
}

function ofOrder(orderId: string, kind = 'recharge') {
  return { metadata: { tollgate_order_id: orderId, tollgate_order_kind: kind } };
}

async function expectUntouched({ accountId, orderId }: Pick<ChargedRecharge, 'accountId' | 'orderId'>) {
  expect(await available(accountId)).toBe(0);
  expect(await orderState(orderId)).toBe('open');
}

describe('an event about a recharge', () => {
  it('credits once, however often and under whatever id it arrives', async () => {
    const { accountId, intent } = await chargedRecharge();
    const event = await stripeEvent(SUCCEEDED, intent);
    expect(await deliver(event)).toEqual([200, 'credited']);
    expect(await deliver(event)).toEqual([200, 'duplicate']);
    await Promise.all(Array.from({ length: 8 }, () => send(SUCCEEDED, intent)));
    expect(await topUpEntries(accountId)).toBe(1);
    expect(await available(accountId)).toBe(usd(20));
    expect(stripe.invoices).toHaveLength(1);
  });

  it.each([
    ['forged', { secret: 'whsec_another_0123456789' }, 'signature_mismatch'],
    ['of last week', { atMs: Date.now() - 7 * 86_400_000 }, 'timestamp_out_of_tolerance'],
    ['of Stripe’s other mode', { livemode: true }, 'mode_mismatch'],
  ])('%s is refused', async (_, how, code) => {
    const order = await chargedRecharge();
    expect(await deliver(await stripeEvent(SUCCEEDED, order.intent, how))).toEqual([400, code]);
    await expectUntouched(order);
  });

  it('is not accepted when the secret is empty', async () => {
    vi.spyOn(console, 'error').mockImplementation(() => {});
    const order = await chargedRecharge();
    const event = await stripeEvent(SUCCEEDED, order.intent);
    expect(await deliver(event, { ...withStripe, STRIPE_WEBHOOK_SECRET: '' })).toEqual([500, 'broken']);
    await expectUntouched(order);
  });

  it.each([
    ['a smaller amount', { amount_received: 1 }, 200, 'held'],
    ['a larger amount', { amount_received: 500_000 }, 200, 'held'],
    ['a part of the amount', { amount: 2_000, amount_received: 1_999 }, 200, 'held'],
    ['nothing', { amount_received: 0 }, 200, 'held'],
    ['less than nothing', { amount_received: -2_000 }, 400, 'event_malformed'],
    ['half a cent', { amount_received: 2_000.5 }, 400, 'event_malformed'],
    ['more than there is', { amount_received: 1e300 }, 400, 'event_malformed'],
    ['another currency', { currency: 'eur' }, 200, 'held'],
    ['a status that is none of success', { status: 'processing' }, 400, 'event_malformed'],
    ['nobody', { customer: null }, 400, 'event_malformed'],
  ])('with %s credits nothing', async (_, change, status, code) => {
    const order = await chargedRecharge();
    expect(await send(SUCCEEDED, { ...order.intent, ...change })).toEqual([status, code]);
    await expectUntouched(order);
  });

  it('for another order or an unknown order is refused', async () => {
    const [mine, theirs] = [await chargedRecharge(), await chargedRecharge()];
    await env.DB.prepare('update payment_order set amount_nano_usd = ? where id = ?')
      .bind(usd(50), theirs.orderId)
      .run();
    const swapped = { ...mine.intent, ...ofOrder(theirs.orderId) };
    expect(await send(SUCCEEDED, swapped)).toEqual([200, 'held']);
    const nowhere = { ...mine.intent, ...ofOrder(newId('order', Date.now())) };
    expect(await send(SUCCEEDED, nowhere)).toEqual([404, 'order_unknown']);
    await expectUntouched(mine);
    await expectUntouched(theirs);
  });

  it('for an order of another provider is refused', async () => {
    const order = await chargedRecharge();
    await env.DB.prepare("update payment_order set provider = 'sandbox' where id = ?")
      .bind(order.orderId)
      .run();
    expect(await send(SUCCEEDED, order.intent)).toEqual([400, 'provider_mismatch']);
    await expectUntouched(order);
  });

  it('does not pay a checkout, nor does one about a checkout pay a recharge', async () => {
    const order = await chargedRecharge();
    const accountId = await newAccount();
    await beginTopUp(withStripe, { accountId, amountNanoUsd: usd(20), nowMs: Date.now() });
    const { session, intent } = stripe.pay();
    const checkoutId = String(session.client_reference_id);
    const forged = { ...intent, ...ofOrder(checkoutId) };
    expect(await send(SUCCEEDED, forged)).toEqual([200, 'held']);
    expect(await send(FAILED, { ...forged, status: 'requires_payment_method' })).toEqual([200, 'ignored']);
    await expectUntouched({ accountId, orderId: checkoutId });

    const forgedSession = {
      ...session,
      ...ofOrder(order.orderId, 'checkout'),
      client_reference_id: order.orderId,
    };
    expect(await send('checkout.session.completed', forgedSession)).toEqual([200, 'held']);
    expect(await send('checkout.session.expired', forgedSession)).toEqual([200, 'ignored']);
    await expectUntouched(order);
  });

  it('of a checkout’s own payment is ignored', async () => {
    await beginTopUp(withStripe, {
      accountId: await newAccount(),
      amountNanoUsd: usd(20),
      nowMs: Date.now(),
    });
    const { intent } = stripe.pay();
    expect(await send(SUCCEEDED, intent)).toEqual([200, 'ignored']);
    expect(await send(SUCCEEDED, stripe.payElsewhere().intent)).toEqual([200, 'ignored']);
  });

  it.each([SUCCEEDED, FAILED, 'payment_intent.canceled', 'invoice.paid'])(
    '%s without an object is refused',
    async (type) => {
      for (const object of [null, 'x', []])
        expect(await send(type, object)).toEqual([400, 'event_malformed']);
    },
  );
});

describe('events out of order', () => {
  it('a decline after the success takes nothing back, and leaves recharge on', async () => {
    const { accountId, orderId, intent } = await chargedRecharge();
    await send(SUCCEEDED, intent);
    const failed = {
      ...intent,
      status: 'requires_payment_method',
      last_payment_error: { code: 'card_declined' },
    };
    expect(await send(FAILED, failed)).toEqual([200, 'noted']);
    expect(await available(accountId)).toBe(usd(20));
    expect(await orderState(orderId)).toBe('paid');
    expect(await rule(accountId)).toMatchObject({ enabled: 1, off_reason: null });
  });

  it('a success after the decline is credited', async () => {
    const { accountId, orderId, intent } = await chargedRecharge();
    await send('payment_intent.canceled', { ...intent, status: 'canceled' });
    expect(await orderState(orderId)).toBe('closed');
    expect(await send(SUCCEEDED, intent)).toEqual([200, 'credited']);
    expect(await available(accountId)).toBe(usd(20));
    expect(await orderState(orderId)).toBe('paid');
  });

  it('the invoice may arrive before the credit', async () => {
    const { accountId, intent } = await chargedRecharge();
    await send(SUCCEEDED, intent);
    const invoice = { ...stripe.invoices[0]! };
    const other = await chargedRecharge();
    const early = { ...invoice, ...ofOrder(other.orderId) };
    expect(await send('invoice.paid', early)).toEqual([200, 'noted']);
    await send(SUCCEEDED, other.intent);
    expect(await available(other.accountId)).toBe(usd(20));
    expect((await recharges(other.accountId))[0]!.invoice_url).toBe(invoice.hosted_invoice_url);
    expect((await recharges(accountId))[0]!.invoice_url).toBe(null);
  });
});

describe('the invoice of a checkout', () => {
  it('is stored with its order', async () => {
    await beginTopUp(withStripe, {
      accountId: await newAccount(),
      amountNanoUsd: usd(20),
      nowMs: Date.now(),
    });
    const { invoice, session } = stripe.pay();
    expect(await send('invoice.paid', invoice)).toEqual([200, 'noted']);
    const url = await env.DB.prepare('select invoice_url from payment_order where id = ?')
      .bind(session.client_reference_id)
      .first('invoice_url');
    expect(url).toBe(invoice.hosted_invoice_url);
    expect(await orderState(String(session.client_reference_id))).toBe('open');
  });

  it.each([
    ['with another total', { subtotal: 1, total: 1, amount_paid: 1 }, 200, 'ignored'],
    ['that is paid in part', { amount_paid: 1 }, 400, 'event_malformed'],
    ['in another currency', { currency: 'eur' }, 200, 'ignored'],
    ['whose address is a script', { hosted_invoice_url: 'javascript:alert(1)' }, 400, 'event_malformed'],
    [
      'whose address is not encrypted',
      { hosted_invoice_url: 'http://invoice.stripe.com/i/1' },
      400,
      'event_malformed',
    ],
    ['without an address', { hosted_invoice_url: null }, 400, 'event_malformed'],
  ])('%s gives its order no link', async (_, change, status, code) => {
    await beginTopUp(withStripe, {
      accountId: await newAccount(),
      amountNanoUsd: usd(20),
      nowMs: Date.now(),
    });
    const { invoice } = stripe.pay();
    expect(await send('invoice.paid', { ...invoice, ...change })).toEqual([status, code]);
    const linked = 'SELECT invoice_url FROM payment_order WHERE id = ?';
    const orderId = String(stripe.sessions.at(-1)!.client_reference_id);
    expect(await env.DB.prepare(linked).bind(orderId).first('invoice_url')).toBeNull();
  });

  it('of another product on the same Stripe account is ignored', async () => {
    expect(await send('invoice.paid', { total: 5, metadata: {} })).toEqual([200, 'ignored']);
    expect(await send('invoice.paid', { total: 5, metadata: null })).toEqual([200, 'ignored']);
  });
});

describe('a reversal of a recharge', () => {
  it('debits like that of any other payment', async () => {
    const { accountId, orderId, intent } = await chargedRecharge();
    await send(SUCCEEDED, intent);
    const charged = { intent, charge: chargeOf(intent) };
    expect(await send('charge.refunded', refunded(charged, 500))).toEqual([200, 'reversed']);
    expect(await available(accountId)).toBe(usd(15));
    const opened = dispute(charged, { amount: 1_500 });
    expect(await send('charge.dispute.created', opened)).toEqual([200, 'reversed']);
    expect(await available(accountId)).toBe(0);
    expect(await send('charge.dispute.closed', { ...opened, status: 'won' })).toEqual([200, 'reversed']);
    expect(await corrections(accountId, orderId)).toEqual([-5, -15, 15]);
  });

  it('turns recharge off with its reason, and the Wallet asks for none', async () => {
    const { accountId, intent } = await chargedRecharge();
    await send(SUCCEEDED, intent);
    await send('charge.refunded', refunded({ intent, charge: chargeOf(intent) }, 2_000));
    const rule = await findAutoRecharge(database(env), accountId);
    expect(rule).toMatchObject({ enabled: false, offReason: 'reversed' });
    expect(await recharge(env, { accountId, nowMs: Date.now() })).toMatchObject({ outcome: 'off' });
  });
});
