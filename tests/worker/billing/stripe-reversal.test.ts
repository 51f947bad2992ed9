import { describe, expect, it } from 'vitest';
import { usd } from '../../../worker/domain/money.ts';
import { env } from './fixtures.ts';
import { beginOrder, COMPLETED, creditedOrder } from './stripe-checkouts.ts';
import { available, corrections, deliver, send, spend } from './stripe-fixtures.ts';
import { stripe } from './stripe-fresh.ts';
import { dispute, refund, refunded, uncollectedInAudit } from './stripe-reversals.ts';
import { stripeEvent } from './stripe-signed.ts';

describe('a refund', () => {
  it('in full takes the credit back, once', async () => {
    const { accountId, orderId, payment } = await creditedOrder();
    const event = await stripeEvent('charge.refunded', refunded(payment, 2_000));
    expect(await deliver(event)).toEqual([200, 'reversed']);
    expect(await deliver(event)).toEqual([200, 'duplicate']);
    expect(await send('charge.refunded', refunded(payment, 2_000))).toEqual([200, 'reversed']);
    expect(await corrections(accountId, orderId)).toEqual([-20]);
    expect(await available(accountId)).toBe(0);
    expect(await uncollectedInAudit(orderId)).toEqual([]);
  });

  it('in parts takes each part', async () => {
    const { accountId, orderId, payment } = await creditedOrder();
    for (const cents of [500, 1_200, 2_000]) await send('charge.refunded', refunded(payment, cents));
    expect(await corrections(accountId, orderId)).toEqual([-5, -7, -8]);
  });

  it('in parts that arrive in the wrong order takes the sum', async () => {
    const { accountId, orderId, payment } = await creditedOrder();
    for (const cents of [1_200, 500, 1_200]) await send('charge.refunded', refunded(payment, cents));
    expect(await corrections(accountId, orderId)).toEqual([-12]);
  });

  it('in parts that arrive at once takes the sum', async () => {
    const { accountId, orderId, payment } = await creditedOrder();
    const parts = [500, 1_200, 1_500, 500, 1_500, 800].map((cents) => refunded(payment, cents));
    const answers = await Promise.all(parts.map((charge) => send('charge.refunded', charge)));
    for (const [status] of answers) expect(status).toBe(200);
    expect((await corrections(accountId, orderId)).reduce((sum, each) => sum + each)).toBe(-15);
    expect(await available(accountId)).toBe(usd(5));
  });

  it('that overtakes its payment is asked to be redelivered, and loses nothing', async () => {
    const { accountId, orderId } = await beginOrder();
    const payment = stripe.pay();
    const event = await stripeEvent('charge.refunded', refunded(payment, 800));
    expect(await deliver(event)).toEqual([503, 'order_not_credited']);
    await send(COMPLETED, payment.session);
    expect(await available(accountId)).toBe(usd(20));
    expect(await deliver(event)).toEqual([200, 'reversed']);
    expect(await corrections(accountId, orderId)).toEqual([-8]);
  });

  it('takes the remaining balance and records the rest as uncollected', async () => {
    const { accountId, orderId, payment } = await creditedOrder();
    await spend(accountId, 15);
    const event = await stripeEvent('charge.refunded', refunded(payment, 2_000));
    await Promise.all([deliver(event), deliver(event)]);
    expect(await available(accountId)).toBe(0);
    expect(await corrections(accountId, orderId)).toEqual([-5]);
    expect(await uncollectedInAudit(orderId)).toEqual([['payment.uncollected', 15]]);
  });

  it('that the bank returns gives the credit back', async () => {
    const { accountId, orderId, payment } = await creditedOrder();
    await send('charge.refunded', refunded(payment, 1_200));
    const failed = refund(payment, 700, 'failed');
    expect(await send('refund.failed', failed)).toEqual([200, 'reversed']);
    expect(await send('refund.failed', failed)).toEqual([200, 'reversed']);
    expect(await corrections(accountId, orderId)).toEqual([-12, 7]);
  });

  it('that the bank returns first ends in the same balance', async () => {
    const { accountId, payment } = await creditedOrder();
    await send('refund.failed', refund(payment, 700, 'failed'));
    expect(await available(accountId)).toBe(usd(20));
    await send('charge.refunded', refunded(payment, 1_200));
    expect(await available(accountId)).toBe(usd(15));
  });

  it.each([
    ['of more than was paid', { amount_refunded: 2_001 }, 400, 'event_malformed'],
    ['of another charge', { amount: 9_000 }, 200, 'held'],
    ['in another currency', { currency: 'eur' }, 200, 'held'],
  ])('%s takes nothing', async (_, change, status, code) => {
    const { accountId, payment } = await creditedOrder();
    const event = { ...refunded(payment, 500), ...change };
    expect(await send('charge.refunded', event)).toEqual([status, code]);
    expect(await available(accountId)).toBe(usd(20));
  });
});

describe('a dispute', () => {
  it('takes the credit back, and returns it when it is won', async () => {
    const { accountId, orderId, payment } = await creditedOrder();
    const opened = dispute(payment);
    expect(await send('charge.dispute.created', opened)).toEqual([200, 'reversed']);
    expect(await send('charge.dispute.funds_withdrawn', opened)).toEqual([200, 'reversed']);
    expect(await available(accountId)).toBe(0);
    const won = { ...opened, status: 'won' };
    expect(await send('charge.dispute.closed', won)).toEqual([200, 'reversed']);
    expect(await send('charge.dispute.funds_reinstated', won)).toEqual([200, 'reversed']);
    expect(await corrections(accountId, orderId)).toEqual([-20, 20]);
  });

  it('that is lost stays taken', async () => {
    const { accountId, orderId, payment } = await creditedOrder();
    const opened = dispute(payment);
    await send('charge.dispute.created', opened);
    await send('charge.dispute.closed', { ...opened, status: 'lost' });
    expect(await corrections(accountId, orderId)).toEqual([-20]);
  });

  it('whose end arrives before its beginning takes nothing', async () => {
    const { accountId, payment } = await creditedOrder();
    const opened = dispute(payment);
    await send('charge.dispute.closed', { ...opened, status: 'won' });
    await send('charge.dispute.created', opened);
    expect(await available(accountId)).toBe(usd(20));
  });

  it('that only inquires takes nothing until it becomes one', async () => {
    const { accountId, orderId, payment } = await creditedOrder();
    const inquiry = dispute(payment, { status: 'warning_needs_response' });
    expect(await send('charge.dispute.created', inquiry)).toEqual([200, 'ignored']);
    expect(await available(accountId)).toBe(usd(20));
    const escalated = { ...inquiry, status: 'needs_response' };
    expect(await send('charge.dispute.funds_withdrawn', escalated)).toEqual([200, 'reversed']);
    expect(await corrections(accountId, orderId)).toEqual([-20]);
  });

  it('that is won gives back only what was taken', async () => {
    const { accountId, orderId, payment } = await creditedOrder();
    await spend(accountId, 15);
    const opened = dispute(payment);
    await send('charge.dispute.created', opened);
    await send('charge.dispute.closed', { ...opened, status: 'won' });
    expect(await corrections(accountId, orderId)).toEqual([-5, 5]);
    expect(await available(accountId)).toBe(usd(5));
    expect(await uncollectedInAudit(orderId)).toEqual([
      ['payment.uncollected', 15],
      ['payment.debt_cancelled', -15],
    ]);
  });

  it('beside a refund takes no more than was paid, and its end restores what the refund leaves', async () => {
    const { accountId, payment } = await creditedOrder();
    await env.WALLET.getByName(accountId).topUp({ orderId: 'order_other', amountNanoUsd: usd(50) });
    const opened = dispute(payment);
    await send('charge.refunded', refunded(payment, 800));
    await send('charge.dispute.created', opened);
    expect(await available(accountId)).toBe(usd(50));
    await send('charge.dispute.closed', { ...opened, status: 'won' });
    expect(await available(accountId)).toBe(usd(62));
  });

  it('that overtakes the payment, or whose payment cannot be read from Stripe, is asked to be redelivered', async () => {
    const { accountId } = await beginOrder();
    const payment = stripe.pay();
    const event = await stripeEvent('charge.dispute.created', dispute(payment));
    expect(await deliver(event)).toEqual([503, 'order_not_credited']);
    await send(COMPLETED, payment.session);
    stripe.faults.push({ status: 429, error: { type: 'invalid_request_error', code: 'rate_limit' } });
    expect(await deliver(event)).toEqual([500, 'broken']);
    expect(await available(accountId)).toBe(usd(20));
    expect(await deliver(event)).toEqual([200, 'reversed']);
    expect(await available(accountId)).toBe(0);
  });

  it.each([['of less than nothing', { amount: -1 }]])('%s is refused', async (_, change) => {
    const { accountId, payment } = await creditedOrder();
    const answer = await send('charge.dispute.created', dispute(payment, change));
    expect(answer).toEqual([400, 'event_malformed']);
    expect(await available(accountId)).toBe(usd(20));
  });
});

describe('refunds and a dispute of one payment', () => {
  it.each([
    { spent: 0, end: 'won', left: 8 },
    { spent: 0, end: 'lost', left: 2 },
    { spent: 15, end: 'won', left: 0 },
    { spent: 5, end: 'won', left: 3 },
  ])(
    'end in the same balance in whatever order they arrive: %j',
    async ({ spent, end, left }) => {
      for (const order of permutations([0, 1, 2, 3])) {
        const { accountId, payment } = await creditedOrder();
        await spend(accountId, spent);
        const opened = dispute(payment, { amount: 600 });
        const events: [string, unknown][] = [
          ['charge.refunded', refunded(payment, 500)],
          ['charge.refunded', refunded(payment, 1_200)],
          ['charge.dispute.created', opened],
          ['charge.dispute.closed', { ...opened, status: end }],
        ];
        for (const i of order) expect(await send(...events[i]!)).toEqual([200, 'reversed']);
        expect(await available(accountId)).toBe(usd(left));
      }
    },
    30_000,
  );
});

function permutations(of: readonly number[]): number[][] {
  if (of.length === 0) return [[]];
  return of.flatMap((first) =>
    permutations(of.filter((each) => each !== first)).map((rest) => [first, ...rest]),
  );
}
