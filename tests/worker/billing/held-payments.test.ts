/** Money that did not move as its order says: converted where that is exact, else held for an operator. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { decideHeld } from '../../../worker/billing/held-payments.ts';
import { database } from '../../../worker/db/client.ts';
import { type HeldKey, listHeld } from '../../../worker/db/held-payments.ts';
import { usd } from '../../../worker/domain/money.ts';
import { operatorBrowser, textOf } from '../portal/operator/console.ts';
import { env } from './fixtures.ts';
import { beginOrder, COMPLETED, creditedOrder } from './stripe-checkouts.ts';
import { available, corrections, send, withStripe } from './stripe-fixtures.ts';
import { stripe } from './stripe-fresh.ts';
import { dispute, refund, refunded } from './stripe-reversals.ts';

beforeEach(() => {
  vi.spyOn(console, 'warn').mockImplementation(() => {});
});
afterEach(() => {
  vi.restoreAllMocks();
});

async function held(orderId: string): Promise<(HeldKey & { reason: string; amountCents: number })[]> {
  const all = await listHeld(database(env), 1_000);
  return all.filter((each) => each.orderId === orderId);
}

function decide(key: HeldKey, decision: Parameters<typeof decideHeld>[1]['decision']) {
  const actor = 'person_operator';
  return decideHeld(withStripe, { key, decision, note: 'seen at Stripe', actor, nowMs: Date.now() });
}

describe('a checkout with tax on top', () => {
  it('credits what was ordered, and its invoice names the tax', async () => {
    const { accountId, orderId } = await beginOrder();
    const payment = stripe.pay({}, 420);
    expect(await send('invoice.paid', payment.invoice)).toEqual([200, 'noted']);
    expect(await send(COMPLETED, payment.session)).toEqual([200, 'credited']);
    expect(await available(accountId)).toBe(usd(20));
    const invoice = await env.DB.prepare(
      'SELECT amount_nano_usd, tax_nano_usd FROM invoice WHERE order_id = ?',
    )
      .bind(orderId)
      .first();
    expect(invoice).toEqual({ amount_nano_usd: usd(20), tax_nano_usd: usd(4.2) });
  });

  it('gives credit back in proportion to what was refunded, tax included', async () => {
    const { accountId, orderId, payment } = await creditedOrder(420);
    expect(await send('charge.refunded', refunded(payment, 1_210))).toEqual([200, 'reversed']);
    expect(await available(accountId)).toBe(usd(10));
    expect(await send('charge.refunded', refunded(payment, 2_420))).toEqual([200, 'reversed']);
    expect(await available(accountId)).toBe(0);
    expect(await send('refund.failed', refund(payment, 1_210, 'failed'))).toEqual([200, 'reversed']);
    expect(await corrections(accountId, orderId)).toEqual([-10, -10, 10]);
  });

  it('whose price includes the tax credits the price', async () => {
    const { accountId } = await beginOrder();
    const total_details = { amount_discount: 0, amount_shipping: 0, amount_tax: 333 };
    expect(await send(COMPLETED, stripe.pay({ total_details }).session)).toEqual([200, 'credited']);
    expect(await available(accountId)).toBe(usd(20));
  });
});

describe('a dispute in another currency', () => {
  const EURO = { currency: 'eur', amount: 1_850 };

  it('takes what left the Stripe account in the payment’s currency', async () => {
    const { accountId, orderId, payment } = await creditedOrder();
    const balance_transactions = [{ amount: -1_500, currency: 'usd', fee: 1_500 }];
    const lost = dispute(payment, { ...EURO, status: 'lost', balance_transactions });
    expect(await send('charge.dispute.closed', lost)).toEqual([200, 'reversed']);
    expect(await corrections(accountId, orderId)).toEqual([-15]);
    expect(await held(orderId)).toEqual([]);
  });

  it('is held when no amount in that currency is known, once for all its events, and decided once', async () => {
    const { accountId, orderId, payment } = await creditedOrder();
    const opened = dispute(payment, { ...EURO, balance_transactions: [{ amount: -1_990, currency: 'gbp' }] });
    expect(await send('charge.dispute.created', opened)).toEqual([200, 'held']);
    expect(await send('charge.dispute.closed', { ...opened, status: 'lost' })).toEqual([200, 'held']);
    const [waiting, ...others] = await held(orderId);
    expect(waiting).toMatchObject({
      reason: 'reversed_in_other_currency',
      amountCents: 1_850,
      currency: 'EUR',
    });
    expect(others).toEqual([]);
    expect(await available(accountId)).toBe(usd(20));
    const amounts = { kind: 'take', amountNanoUsd: usd(20.01) } as const;
    expect(await decide(waiting!, amounts)).toEqual({ ok: false, reason: 'amount_out_of_bounds' });
    expect(await decide(waiting!, { kind: 'credit' })).toEqual({ ok: false, reason: 'not_fitting' });
    expect(await decide(waiting!, { kind: 'take', amountNanoUsd: usd(19) })).toEqual({ ok: true });
    expect(await decide(waiting!, { kind: 'take', amountNanoUsd: usd(19) })).toMatchObject({ ok: false });
    expect(await corrections(accountId, orderId)).toEqual([-19]);
    expect(await held(orderId)).toEqual([]);
  });

  it('that is held and then has its amount needs no decision', async () => {
    const { accountId, orderId, payment } = await creditedOrder();
    const opened = dispute(payment, EURO);
    expect(await send('charge.dispute.created', opened)).toEqual([200, 'held']);
    const withdrawn = { ...opened, balance_transactions: [{ amount: -2_000, currency: 'usd' }] };
    expect(await send('charge.dispute.funds_withdrawn', withdrawn)).toEqual([200, 'reversed']);
    expect(await held(orderId)).toEqual([]);
    expect(await available(accountId)).toBe(0);
    expect(await send('charge.dispute.closed', { ...opened, status: 'won' })).toEqual([200, 'reversed']);
    expect(await available(accountId)).toBe(usd(20));
  });

  it('with a status that Stripe has added since is held, too', async () => {
    const { accountId, orderId, payment } = await creditedOrder();
    const opened = dispute(payment, { status: 'pondered' });
    expect(await send('charge.dispute.created', opened)).toEqual([200, 'held']);
    expect(await held(orderId)).toMatchObject([{ reason: 'dispute_status_unknown' }]);
    expect(await available(accountId)).toBe(usd(20));
  });
});

describe('a payment that does not fit its order', () => {
  it.each([
    ['a smaller amount', { amount_subtotal: 1_900, amount_total: 1_900 }, 'amount_mismatch'],
    ['a larger amount', { amount_subtotal: 500_000, amount_total: 500_000 }, 'amount_mismatch'],
    ['a discount', { amount_total: 1_500, total_details: { amount_discount: 500 } }, 'amount_mismatch'],
    ['another currency', { currency: 'jpy' }, 'currency_mismatch'],
  ])('%s credits nothing and waits', async (_, change, reason) => {
    const { accountId, orderId } = await beginOrder();
    const payment = stripe.pay(change);
    expect(await send(COMPLETED, payment.session)).toEqual([200, 'held']);
    expect(await send('charge.refunded', refunded(payment, 500))).toEqual([200, 'held']);
    expect(await corrections(accountId, orderId)).toEqual([]);
    expect(await available(accountId)).toBe(0);
    expect((await held(orderId))[0]).toMatchObject({ kind: 'paid', reason });
  });

  it('is credited by an operator’s decision, once', async () => {
    const { accountId, orderId } = await beginOrder();
    await send(COMPLETED, stripe.pay({ currency: 'eur' }).session);
    const [waiting] = await held(orderId);
    expect(await decide(waiting!, { kind: 'credit' })).toEqual({ ok: true });
    expect(await decide(waiting!, { kind: 'credit' })).toEqual({ ok: false, reason: 'not_found' });
    expect(await available(accountId)).toBe(usd(20));
  });

  it('is left by an operator’s decision, with the note in the audit log', async () => {
    const { accountId, orderId } = await beginOrder();
    await send(COMPLETED, stripe.pay({ currency: 'eur' }).session);
    const [waiting] = await held(orderId);
    expect(await decide(waiting!, { kind: 'leave' })).toEqual({ ok: true });
    expect(await available(accountId)).toBe(0);
    const audit = await env.DB.prepare(
      "SELECT detail FROM audit WHERE subject = ? AND action = 'payment.decided'",
    )
      .bind(orderId)
      .all<{ detail: string }>();
    expect(audit.results.map(({ detail }) => JSON.parse(detail))).toEqual([
      { decision: 'leave', source: '', note: 'seen at Stripe' },
    ]);
  });
});

describe('the operator’s page', () => {
  it('lists what waits, takes the typed amount in the page’s language, and then has nothing more', async () => {
    const { accountId, orderId, payment } = await creditedOrder();
    await send('charge.dispute.created', dispute(payment, { currency: 'jpy', amount: 2_950 }));
    const console = await operatorBrowser();
    const list = await textOf(console.get('/operator/payments'));
    expect(list).toContain(orderId);
    expect(list).toContain('¥2,950');
    const [waiting] = await held(orderId);
    const key = { order: orderId, kind: waiting!.kind, source: waiting!.source };
    const form = `/operator/payments/decide?${new URLSearchParams(key)}`;
    expect(await textOf(console.get(form))).toContain('The order was for $20.00.');
    const decision = { ...key, decision: 'take', note: 'seen at Stripe' };
    for (const takenUsd of ['', '0', '20,00', '20.01']) {
      const refused = await console.post('/operator/payments/decide', { ...decision, takenUsd });
      expect([takenUsd, refused.status]).toEqual([takenUsd, 422]);
    }
    const decided = await console.post('/operator/payments/decide', { ...decision, takenUsd: '19.50' });
    expect([decided.status, decided.headers.get('location')]).toEqual([303, '/operator/payments?decided']);
    expect(await corrections(accountId, orderId)).toEqual([-19.5]);
    expect(await textOf(console.get('/operator/payments'))).not.toContain(orderId);
    expect((await console.get(form)).status).toBe(404);
  });
});
