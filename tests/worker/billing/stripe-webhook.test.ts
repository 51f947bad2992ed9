import Stripe from 'stripe';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { newId } from '../../../worker/domain/ids.ts';
import { usd } from '../../../worker/domain/money.ts';
import { breakAt, brokenEnv, TIMINGS, type Timing } from './breaking.ts';
import { env, newAccount, newOrder, orderState, topUpEntries } from './fixtures.ts';
import { beginOrder, COMPLETED, creditedOrder } from './stripe-checkouts.ts';
import { API_KEY } from './stripe-fake.ts';
import { available, corrections, deliver, send, spend, withStripe } from './stripe-fixtures.ts';
import { stripe } from './stripe-fresh.ts';
import { dispute, refunded, uncollectedInAudit } from './stripe-reversals.ts';
import { type SignedEvent, signedBody, stripeEvent, WEBHOOK_SECRET } from './stripe-signed.ts';
import { CARD, newStripeId } from './stripe-state.ts';

describe('a paid checkout', () => {
  it.each([COMPLETED, 'checkout.session.async_payment_succeeded'])(
    'credits once, by %s, however often',
    async (type) => {
      const { accountId, orderId } = await beginOrder();
      const { session } = stripe.pay();
      const event = await stripeEvent(type, session);
      expect(await deliver(event)).toEqual([200, 'credited']);
      expect(await deliver(event)).toEqual([200, 'duplicate']);
      expect((await send(COMPLETED, session))[0]).toBe(200);
      expect(await available(accountId)).toBe(usd(20));
      expect(await topUpEntries(accountId)).toBe(1);
      expect(await orderState(orderId)).toBe('paid');
    },
  );

  it('delivered many times at once credits once', async () => {
    const { accountId } = await beginOrder();
    const { session } = stripe.pay();
    const events = await Promise.all([stripeEvent(COMPLETED, session), stripeEvent(COMPLETED, session)]);
    const answers = await Promise.all(Array.from({ length: 16 }, (_, i) => deliver(events[i % 2]!)));
    for (const [status] of answers) expect(status).toBe(200);
    expect(await topUpEntries(accountId)).toBe(1);
    expect(await available(accountId)).toBe(usd(20));
  });

  it('credits when the bank transfer arrives, not when it is promised', async () => {
    const { accountId, orderId } = await beginOrder();
    const { session } = stripe.pay();
    expect(await send(COMPLETED, { ...session, payment_status: 'unpaid' })).toEqual([200, 'ignored']);
    expect(await available(accountId)).toBe(0);
    expect(await orderState(orderId)).toBe('open');
    expect(await send('checkout.session.async_payment_succeeded', session)).toEqual([200, 'credited']);
    expect(await available(accountId)).toBe(usd(20));
  });

  it.each(['checkout.session.expired', 'checkout.session.async_payment_failed'])(
    '%s closes the order, but takes nothing from a paid one',
    async (type) => {
      const { accountId, orderId } = await beginOrder();
      const { session } = stripe.pay();
      const unpaid = { ...session, payment_status: 'unpaid' };
      expect(await send(type, unpaid)).toEqual([200, 'noted']);
      expect(await orderState(orderId)).toBe('closed');
      expect(await available(accountId)).toBe(0);
      // The money arrived all the same: a signed `paid` is accepted whenever it comes.
      expect(await send(COMPLETED, session)).toEqual([200, 'credited']);
      expect(await send(type, unpaid)).toEqual([200, 'noted']);
      expect(await orderState(orderId)).toBe('paid');
      expect(await available(accountId)).toBe(usd(20));
    },
  );
});

describe('an event that is signed but does not fit', () => {
  it.each([
    ['an amount below zero', { amount_total: -2_000 }, 'event_malformed'],
    ['half a cent', { amount_total: 2_000.5 }, 'event_malformed'],
    ['no amount', { amount_total: null }, 'event_malformed'],
    ['another order as its reference', { client_reference_id: newId('order', 1) }, 'event_malformed'],
    ['no reference', { client_reference_id: null }, 'event_malformed'],
    ['a subscription', { mode: 'subscription' }, 'event_malformed'],
  ])('%s is refused', async (_, change, code) => {
    const { accountId, orderId } = await beginOrder();
    expect(await send(COMPLETED, stripe.pay(change).session)).toEqual([400, code]);
    expect(await available(accountId)).toBe(0);
    expect(await orderState(orderId)).toBe('open');
  });

  it('an unknown order or one of another provider is refused', async () => {
    await beginOrder();
    const { session } = stripe.pay();
    const pays = (id: string) => ({
      ...session,
      client_reference_id: id,
      metadata: { tollgate_order_id: id },
    });
    expect(await send(COMPLETED, pays(newId('order', Date.now())))).toEqual([404, 'order_unknown']);
    expect(await send(COMPLETED, pays("' or 1=1 --"))).toEqual([404, 'order_unknown']);
    const accountId = await newAccount();
    const sandboxOrder = await newOrder(accountId);
    expect(await send(COMPLETED, pays(sandboxOrder))).toEqual([400, 'provider_mismatch']);
    expect(await available(accountId)).toBe(0);
  });

  it('an order of another amount credits nothing, though both are ours', async () => {
    const expensive = await beginOrder(50);
    const cheap = await beginOrder(20);
    const { session } = stripe.pay();
    const metadata = { tollgate_order_id: expensive.orderId };
    const swapped = { ...session, client_reference_id: expensive.orderId, metadata };
    expect(await send(COMPLETED, swapped)).toEqual([200, 'held']);
    expect(await available(expensive.accountId)).toBe(0);
    expect(await available(cheap.accountId)).toBe(0);
  });

  it('Stripe’s other mode is refused', async () => {
    const { accountId } = await beginOrder();
    const event = await stripeEvent(COMPLETED, stripe.pay().session, { livemode: true });
    expect(await deliver(event)).toEqual([400, 'mode_mismatch']);
    expect(await available(accountId)).toBe(0);
  });

  it.each(['nonsense', '{}', '[]', 'null', '{"object":"v2.core.event"}', '{"id":"evt_1","type":"x"}'])(
    'the envelope is refused: %s',
    async (body) => {
      expect(await deliver(await signedBody(body))).toEqual([400, 'event_malformed']);
    },
  );

  it.each([COMPLETED, 'charge.refunded', 'refund.failed', 'charge.dispute.created'])(
    '%s without its object is refused',
    async (type) => {
      for (const object of [null, 'x', {}, []])
        expect(await send(type, object)).toEqual([400, 'event_malformed']);
    },
  );

  it.each(['customer.created', 'charge.succeeded', 'constructor', '__proto__', ''])(
    'the type %j is ignored',
    async (type) => {
      expect(await send(type, {})).toEqual([200, 'ignored']);
    },
  );

  it('a payment for another product on the same Stripe account is ignored', async () => {
    const payment = stripe.payElsewhere();
    expect(await send(COMPLETED, payment.session)).toEqual([200, 'ignored']);
    expect(await send('charge.refunded', refunded(payment, 2_000))).toEqual([200, 'ignored']);
    expect(await send('charge.dispute.created', dispute(payment))).toEqual([200, 'ignored']);
    const orphan = dispute(payment, { payment_intent: null });
    expect(await send('charge.dispute.created', orphan)).toEqual([200, 'ignored']);
  });
});

describe('a forged event', () => {
  it.each<[string, string, (event: SignedEvent) => SignedEvent]>([
    ['no signature', 'signature_missing', ({ body }) => ({ headers: {}, body })],
    ['an empty signature', 'signature_missing', ({ body }) => header('', body)],
    [
      'no time',
      'signature_missing',
      ({ headers, body }) => header(signatureOf(headers).replace(/^t=\d+,/, ''), body),
    ],
    ['two times', 'signature_missing', ({ headers, body }) => header(`t=1,${signatureOf(headers)}`, body)],
    [
      'only the scheme of test signatures',
      'signature_mismatch',
      ({ headers, body }) => header(signatureOf(headers).replace('v1=', 'v0='), body),
    ],
    [
      'a signature of zeros',
      'signature_mismatch',
      ({ headers, body }) => header(signatureOf(headers).replace(/v1=.*/, `v1=${'0'.repeat(64)}`), body),
    ],
    [
      'another time',
      'signature_mismatch',
      ({ headers, body }) =>
        header(
          signatureOf(headers).replace(/^t=(\d+)/, (_, t) => `t=${Number(t) + 1}`),
          body,
        ),
    ],
    [
      'a changed amount',
      'signature_mismatch',
      ({ headers, body }) => ({ headers, body: body.replace('2000', '9000') }),
    ],
    ['one byte more', 'signature_mismatch', ({ headers, body }) => ({ headers, body: `${body} ` })],
    ['an empty body', 'signature_mismatch', ({ headers }) => ({ headers, body: '' })],
  ])('with %s is refused: %s', async (_, code, forge) => {
    const { accountId, orderId } = await beginOrder();
    const event = await stripeEvent(COMPLETED, stripe.pay().session);
    expect(await deliver(forge(event))).toEqual([400, code]);
    expect(await available(accountId)).toBe(0);
    expect(await orderState(orderId)).toBe('open');
  });

  it('signed with another secret is refused, also with an empty one', async () => {
    const { accountId } = await beginOrder();
    const { session } = stripe.pay();
    const other = await stripeEvent(COMPLETED, session, { secret: 'whsec_another_0123456789abcdef' });
    expect(await deliver(other)).toEqual([400, 'signature_mismatch']);
    await expect(stripeEvent(COMPLETED, session, { secret: '' })).rejects.toThrow();
    const event = await stripeEvent(COMPLETED, session);
    for (const empty of ['', ' ']) {
      const using = { ...withStripe, STRIPE_WEBHOOK_SECRET: empty };
      expect(await deliver(event, using)).toEqual([500, 'broken']);
    }
    expect(await available(accountId)).toBe(0);
  });

  it('signed with the next secret is accepted while both are set, and with the old one refused afterwards', async () => {
    const NEXT = 'whsec_the_next_0123456789abcdef';
    const accepted = { ...withStripe, STRIPE_WEBHOOK_SECRET_NEXT: NEXT };
    const inUse = { ...accepted, USE_NEXT: 'STRIPE_WEBHOOK_SECRET' };
    const after = { ...withStripe, STRIPE_WEBHOOK_SECRET: NEXT };
    for (const using of [accepted, inUse]) {
      for (const secret of [WEBHOOK_SECRET, NEXT]) {
        const { accountId } = await beginOrder();
        const event = await stripeEvent(COMPLETED, stripe.pay().session, { secret });
        expect(await deliver(event, using)).toEqual([200, 'credited']);
        expect(await available(accountId)).toBe(usd(20));
      }
    }
    const { accountId } = await beginOrder();
    const { session } = stripe.pay();
    const early = await stripeEvent(COMPLETED, session, { secret: NEXT });
    expect(await deliver(early, withStripe)).toEqual([400, 'signature_mismatch']);
    const late = await stripeEvent(COMPLETED, session, { secret: WEBHOOK_SECRET });
    expect(await deliver(late, after)).toEqual([400, 'signature_mismatch']);
    expect(await available(accountId)).toBe(0);
    expect(await deliver(early, after)).toEqual([200, 'credited']);
  });

  it('is accepted when one of several signatures is right, as while a secret is rotated', async () => {
    await beginOrder();
    const { headers, body } = await stripeEvent(COMPLETED, stripe.pay().session);
    const both = signatureOf(headers).replace(',', `,v1=${'0'.repeat(64)},`);
    expect(await deliver(header(both, body))).toEqual([200, 'credited']);
  });

  it.each([
    [-298_000, 200],
    [-302_000, 400],
    [290_000, 200],
    [302_000, 400],
  ])('signed %i ms from now is answered with %i', async (offsetMs, status) => {
    await beginOrder();
    const { session } = stripe.pay();
    const answer = await deliver(await stripeEvent(COMPLETED, session, { atMs: Date.now() + offsetMs }));
    expect(answer).toEqual(status === 200 ? [200, 'credited'] : [400, 'timestamp_out_of_tolerance']);
  });

  it('may be as large as a dispute with all its evidence, and no larger', async () => {
    const evidence = (bytes: number) =>
      stripeEvent('charge.dispute.updated', { evidence: 'x'.repeat(bytes) });
    expect(await deliver(await evidence(500_000))).toEqual([200, 'ignored']);
    expect(await deliver(await evidence(700_000))).toEqual([413, 'body_too_large']);
  });
});

describe('a delivery that breaks off', () => {
  beforeEach(() => {
    vi.spyOn(console, 'error').mockImplementation(() => {});
  });

  it.each(TIMINGS)('%s any step of a credit ends in one credit', async (when) => {
    for (let step = 1; ; step++) {
      const { accountId, orderId } = await beginOrder();
      const event = await stripeEvent(COMPLETED, stripe.pay().session);
      const [status] = await deliver(event, breaking(step, when));
      if (status === 200) {
        expect(step).toBeGreaterThan(4);
        return;
      }
      expect((await deliver(event))[0]).toBe(200);
      expect(await topUpEntries(accountId)).toBe(1);
      expect(await available(accountId)).toBe(usd(20));
      expect(await orderState(orderId)).toBe('paid');
    }
  });

  it.each(TIMINGS)('%s any step of a refund ends in one debit, with its debt written once', async (when) => {
    for (let step = 1; ; step++) {
      const { accountId, orderId, payment } = await creditedOrder();
      await spend(accountId, 15);
      const event = await stripeEvent('charge.refunded', refunded(payment, 2_000));
      const [status] = await deliver(event, breaking(step, when));
      if (status === 200) {
        expect(step).toBeGreaterThan(7);
        return;
      }
      expect((await deliver(event))[0]).toBe(200);
      expect(await corrections(accountId, orderId)).toEqual([-5]);
      expect(await uncollectedInAudit(orderId)).toEqual([['payment.uncollected', 15]]);
    }
  });

  it.each(TIMINGS)('%s any step of a dispute’s end gives back once', async (when) => {
    for (let step = 1; ; step++) {
      const { accountId, orderId, payment } = await creditedOrder();
      await spend(accountId, 15);
      const opened = dispute(payment);
      await send('charge.dispute.created', opened);
      const event = await stripeEvent('charge.dispute.closed', { ...opened, status: 'won' });
      const [status] = await deliver(event, breaking(step, when));
      if (status === 200) {
        expect(step).toBeGreaterThan(7);
        return;
      }
      expect((await deliver(event))[0]).toBe(200);
      expect(await corrections(accountId, orderId)).toEqual([-5, 5]);
      expect((await uncollectedInAudit(orderId)).map(([action]) => action)).toEqual([
        'payment.uncollected',
        'payment.debt_cancelled',
      ]);
    }
  });

  it('after a refund was stored is completed by the next event about the order', async () => {
    const { accountId, payment } = await creditedOrder();
    const first = await stripeEvent('charge.refunded', refunded(payment, 500));
    expect(await deliver(first, breaking(4, 'after'))).toEqual([500, 'broken']);
    expect(await available(accountId)).toBe(usd(20));
    await send('charge.refunded', refunded(payment, 1_200));
    expect(await available(accountId)).toBe(usd(8));
    await deliver(first);
    expect(await available(accountId)).toBe(usd(8));
  });
});

describe('a customer’s card', () => {
  it('is in no log and in no row', async () => {
    const logged: unknown[] = [];
    for (const level of ['log', 'info', 'warn', 'error', 'debug'] as const)
      vi.spyOn(console, level).mockImplementation((...args) => void logged.push(...args));
    const { payment } = await creditedOrder();
    await send('charge.refunded', refunded(payment, 500));
    await send('charge.dispute.created', dispute(payment));
    await send(COMPLETED, { ...payment.session, amount_total: 1 });
    const { headers, body } = await stripeEvent(COMPLETED, payment.session);
    await deliver({ headers, body: `${body} ` });
    stripe.faults.push({ status: 402, error: { type: 'card_error', message: `Card of ${CARD.name}` } });
    expect(await send('charge.dispute.created', dispute(payment))).toEqual([500, 'broken']);

    const tables = ['payment_order', 'payment_event', 'payment_reversal', 'payment_correction', 'audit'];
    const rows = await Promise.all(tables.map((table) => env.DB.prepare(`select * from ${table}`).all()));
    const kept = JSON.stringify([rows.map(({ results }) => results), logged.map(String)]);
    expect(logged.length).toBeGreaterThan(0);
    // Matched as whole words: four digits inside an id or a time are no card number.
    for (const secret of [...Object.values(CARD), API_KEY, WEBHOOK_SECRET])
      expect(kept).not.toMatch(new RegExp(`(?<!\\w)${RegExp.escape(secret)}(?!\\w)`));
  });
});

it('the signing helper is Stripe’s own: the SDK accepts its signatures', async () => {
  const { headers, body } = await stripeEvent('ping', {}, { id: newStripeId('evt') });
  const crypto = Stripe.createSubtleCryptoProvider();
  const event = Stripe.webhooks.constructEventAsync(body, signatureOf(headers), WEBHOOK_SECRET, 300, crypto);
  expect((await event).type).toBe('ping');
});

function signatureOf(headers: Record<string, string>): string {
  return headers['stripe-signature']!;
}

function header(signature: string, body: string): SignedEvent {
  return { headers: { 'stripe-signature': signature }, body };
}

function breaking(step: number, when: Timing) {
  return brokenEnv(withStripe, breakAt(step, when));
}
