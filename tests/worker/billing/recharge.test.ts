import { beforeEach, describe, expect, it, vi } from 'vitest';
import { setAutoRecharge } from '../../../worker/billing/recharge/rule.ts';
import { nanoUsd, usd } from '../../../worker/domain/money.ts';
import { env, paidBalance, topUpEntries } from './fixtures.ts';
import {
  accountWithCard,
  accountWithRecharge,
  FAILED,
  HOUR_MS,
  lastIntent,
  MINUTE_MS,
  notices,
  recharges,
  rule,
  runRecharge,
  SUCCEEDED,
  turnOn,
} from './recharge-fixtures.ts';
import { available, send, spend, withStripe } from './stripe-fixtures.ts';
import { stripe } from './stripe-fresh.ts';

const INTENTS = '/v1/payment_intents';

beforeEach(() => {
  vi.spyOn(console, 'error').mockImplementation(() => {});
});

describe('a balance below the level', () => {
  it('charges the saved card for the amount, and the event credits it', async () => {
    const accountId = await accountWithRecharge(stripe);
    expect(await runRecharge(accountId)).toBe('pending');
    const [order] = await recharges(accountId);
    const [call] = stripe.callsTo('POST', INTENTS);
    expect(call).toEqual({
      method: 'POST',
      path: INTENTS,
      idempotencyKey: `recharge/${order!.id}`,
      params: {
        amount: '2000',
        currency: 'usd',
        customer: (await rule(accountId)).customer_ref,
        payment_method: (await rule(accountId)).method_ref,
        'allowed_payment_method_types[0]': 'card',
        off_session: 'true',
        confirm: 'true',
        'metadata[tollgate_order_id]': order!.id,
        'metadata[tollgate_order_kind]': 'recharge',
        description: `Tollgate credit, ${order!.id}`,
      },
    });
    expect(await paidBalance(accountId)).toBe(0);
    expect(await send(SUCCEEDED, lastIntent(stripe))).toEqual([200, 'credited']);
    expect(await available(accountId)).toBe(usd(20));
    expect((await recharges(accountId))[0]!.state).toBe('paid');
    expect(await notices(accountId)).toEqual([
      { kind: 'recharge.paid', orderId: order!.id, amountNanoUsd: usd(20) },
    ]);
  });

  it('is not charged while the account is suspended, not even for an order that was opened before', async () => {
    const accountId = await accountWithRecharge(stripe);
    const suspend = (atMs: number | null) =>
      env.DB.prepare('update account set suspended_at_ms = ? where id = ?').bind(atMs, accountId).run();
    await suspend(1);
    expect(await runRecharge(accountId)).toBe('off');
    expect(await recharges(accountId)).toEqual([]);
    await suspend(null);
    stripe.faults.push({ status: 401, error: { type: 'invalid_request_error' } });
    expect(await runRecharge(accountId)).toBe('unknown');
    await suspend(1);
    expect(await runRecharge(accountId, { nowMs: Date.now() + HOUR_MS })).toBe('off');
    expect(stripe.intents).toEqual([]);
    await suspend(null);
    expect(await runRecharge(accountId)).toBe('pending');
  });

  it('is followed by an invoice with the payment attached, whose URL arrives in its event', async () => {
    const accountId = await accountWithRecharge(stripe);
    await runRecharge(accountId);
    await send(SUCCEEDED, lastIntent(stripe));
    const [invoice] = stripe.invoices;
    const [order] = await recharges(accountId);
    expect(invoice).toMatchObject({
      status: 'paid',
      total: 2_000,
      amount_paid: 2_000,
      metadata: { tollgate_order_id: order!.id },
    });
    expect(order!.invoice_url).toBe(null);
    expect(await send('invoice.paid', invoice)).toEqual([200, 'noted']);
    expect((await recharges(accountId))[0]!.invoice_url).toBe(invoice!.hosted_invoice_url);
    expect(await topUpEntries(accountId)).toBe(1);
  });

  it('is charged again only when it has fallen again', async () => {
    const accountId = await accountWithRecharge(stripe);
    await runRecharge(accountId);
    await send(SUCCEEDED, lastIntent(stripe));
    expect(await runRecharge(accountId)).toBe('not_needed');
    await spend(accountId, 10.5);
    expect(await runRecharge(accountId)).toBe('pending');
    expect(stripe.intents).toHaveLength(2);
  });

  it('is not charged while it is at the level, nor above', async () => {
    const accountId = await accountWithRecharge(stripe);
    await env.WALLET.getByName(accountId).grant({ grantId: 'grant-1', amountNanoUsd: usd(10) });
    expect(await runRecharge(accountId)).toBe('not_needed');
    await env.WALLET.getByName(accountId).correct({ reference: 'spent', amountNanoUsd: nanoUsd(-1) });
    expect(await runRecharge(accountId)).toBe('pending');
  });
});

describe('a slow event', () => {
  it('leads to no second charge, however often and late the task runs', async () => {
    const accountId = await accountWithRecharge(stripe);
    const nowMs = Date.now();
    await runRecharge(accountId, { nowMs });
    for (const lateMs of [1, MINUTE_MS, HOUR_MS, 23 * HOUR_MS, 30 * HOUR_MS, 71 * HOUR_MS])
      expect(await runRecharge(accountId, { nowMs: nowMs + lateMs })).toBe('in_flight');
    expect(stripe.callsTo('POST', INTENTS)).toHaveLength(1);
    expect(await available(accountId)).toBe(0);
    await send(SUCCEEDED, lastIntent(stripe));
    expect(await runRecharge(accountId, { nowMs: nowMs + 72 * HOUR_MS })).toBe('not_needed');
    expect(await topUpEntries(accountId)).toBe(1);
    expect(stripe.intents).toHaveLength(1);
  });

  it('that arrives just after the balance was read leads to none either', async () => {
    const accountId = await accountWithRecharge(stripe);
    const wallet = env.WALLET.getByName(accountId);
    let reads = 0;
    const getByName = () => ({
      balance: async () => {
        const balance = await wallet.balance();
        reads += 1;
        // Another task begins and completes a whole recharge between this read and the next.
        if (reads === 1) {
          await runRecharge(accountId);
          await send(SUCCEEDED, lastIntent(stripe));
        }
        return balance;
      },
    });
    const using = { ...withStripe, WALLET: { getByName } as unknown as typeof withStripe.WALLET };
    expect(await runRecharge(accountId, { using })).toBe('not_needed');
    expect(reads).toBe(2);
    expect(stripe.intents).toHaveLength(1);
    expect((await recharges(accountId)).map(({ state }) => state).sort()).toEqual(['closed', 'paid']);
  });

  it('that arrives before the response is handled', async () => {
    const accountId = await accountWithRecharge(stripe);
    const fetched = stripe.fetch;
    vi.stubGlobal('fetch', async (url: string, init: RequestInit) => {
      const answer = await fetched(url, init);
      if (url.endsWith(INTENTS)) expect((await send(SUCCEEDED, lastIntent(stripe)))[0]).toBe(200);
      return answer;
    });
    expect(await runRecharge(accountId)).toBe('pending');
    expect(await available(accountId)).toBe(usd(20));
    expect((await recharges(accountId)).map(({ state }) => state)).toEqual(['paid']);
  });
});

describe('many tasks at once', () => {
  it('are one charge', async () => {
    const accountId = await accountWithRecharge(stripe, { monthlyMax: 5_000 });
    stripe.delayMs = 20;
    const outcomes = await Promise.all(Array.from({ length: 50 }, () => runRecharge(accountId)));
    expect(outcomes.filter((outcome) => outcome === 'pending')).toHaveLength(1);
    expect(outcomes.filter((outcome) => outcome === 'in_flight')).toHaveLength(49);
    expect(stripe.callsTo('POST', INTENTS)).toHaveLength(1);
    expect(await recharges(accountId)).toHaveLength(1);
  });

  it('are one charge also when its event arrives in between', async () => {
    const accountId = await accountWithRecharge(stripe, { monthlyMax: 5_000 });
    const fetched = stripe.fetch;
    vi.stubGlobal('fetch', async (url: string, init: RequestInit) => {
      const answer = await fetched(url, init);
      if (url.endsWith(INTENTS)) await send(SUCCEEDED, lastIntent(stripe));
      return answer;
    });
    await Promise.all(Array.from({ length: 50 }, () => runRecharge(accountId)));
    expect(stripe.intents).toHaveLength(1);
    expect(await topUpEntries(accountId)).toBe(1);
  });
});

describe('a declined card', () => {
  const refusals = [
    [{ code: 'card_declined', decline_code: 'generic_decline' }, 'card_declined'],
    [{ code: 'card_declined', decline_code: 'insufficient_funds' }, 'insufficient_funds'],
    [{ code: 'expired_card', decline_code: 'expired_card' }, 'expired_card'],
    [{ code: 'authentication_required', decline_code: 'authentication_required' }, 'authentication_required'],
    [{ code: 'card_declined', decline_code: 'constructor' }, 'card_declined'],
    [{ code: 'processing_error' }, 'card_declined'],
  ] as const;

  it.each(refusals)(
    '%j turns recharge off, and its owner gets a notice with the reason',
    async (card, why) => {
      const accountId = await accountWithRecharge(stripe, { card });
      expect(await runRecharge(accountId)).toBe('declined');
      const [order] = await recharges(accountId);
      expect(order!.state).toBe('closed');
      expect(await rule(accountId)).toMatchObject({ enabled: 0, off_reason: why });
      const facts = { kind: 'recharge.declined', orderId: order!.id, amountNanoUsd: usd(20), why };
      expect(await notices(accountId)).toEqual([facts]);
      // The event repeats the decline, and the next task finds recharge off.
      expect(await send(FAILED, lastIntent(stripe))).toEqual([200, 'noted']);
      expect(await runRecharge(accountId)).toBe('off');
      expect(await notices(accountId)).toHaveLength(1);
      expect(stripe.intents).toHaveLength(1);
      expect(await paidBalance(accountId)).toBe(0);
    },
  );

  it('turns recharge off also when only the event reports it', async () => {
    const accountId = await accountWithRecharge(stripe, { card: { code: 'expired_card' } });
    stripe.faults.push('lost after the work');
    vi.useFakeTimers({ toFake: ['setTimeout'] });
    const running = runRecharge(accountId, { nowMs: Date.now() });
    stripe.faults.push('reset', 'reset');
    await vi.advanceTimersByTimeAsync(60_000);
    expect(await running).toBe('unknown');
    vi.useRealTimers();
    expect(await rule(accountId)).toMatchObject({ enabled: 1 });
    expect(await send(FAILED, lastIntent(stripe))).toEqual([200, 'noted']);
    expect(await rule(accountId)).toMatchObject({ enabled: 0, off_reason: 'expired_card' });
    expect(await notices(accountId)).toHaveLength(1);
  });

  it('stays off until its owner turns it on, and a late decline does not turn it off again', async () => {
    const accountId = await accountWithRecharge(stripe, { card: { code: 'expired_card' } });
    await runRecharge(accountId);
    const late = lastIntent(stripe);
    await turnOn(accountId);
    expect(await rule(accountId)).toMatchObject({ enabled: 1, off_reason: null });
    expect(await send(FAILED, late)).toEqual([200, 'noted']);
    expect(await rule(accountId)).toMatchObject({ enabled: 1 });
  });

  it.each(['payment_method', 'customer'])('whose %s Stripe no longer has is unusable', async (param) => {
    const accountId = await accountWithRecharge(stripe);
    if (param === 'customer') stripe.customers.clear();
    else stripe.detach(String((await rule(accountId)).method_ref));
    expect(await runRecharge(accountId)).toBe('declined');
    expect(await rule(accountId)).toMatchObject({ enabled: 0, off_reason: 'card_unusable' });
  });
});

describe('the month’s maximum', () => {
  it('counts paid and open recharges, and raises one notice a month', async () => {
    const accountId = await accountWithRecharge(stripe, { amount: 20, monthlyMax: 50 });
    const may = Date.UTC(2027, 4, 20);
    for (let i = 0; i < 2; i++) {
      expect(await runRecharge(accountId, { nowMs: may + i })).toBe('pending');
      await send(SUCCEEDED, lastIntent(stripe));
      await spend(accountId, 20);
    }
    expect(await runRecharge(accountId, { nowMs: may + 2 })).toBe('monthly_max');
    expect(await runRecharge(accountId, { nowMs: Date.UTC(2027, 4, 31, 23, 59, 59, 999) })).toBe(
      'monthly_max',
    );
    const raised = (await notices(accountId)).filter(({ kind }) => kind === 'recharge.monthly_max');
    expect(raised).toEqual([
      { kind: 'recharge.monthly_max', rechargedNanoUsd: usd(40), monthlyMaxNanoUsd: usd(50) },
    ]);
    expect(await rule(accountId)).toMatchObject({ enabled: 1 });
    expect(await runRecharge(accountId, { nowMs: Date.UTC(2027, 5, 1) })).toBe('pending');
  });

  it('does not count declined recharges', async () => {
    const accountId = await accountWithRecharge(stripe, { monthlyMax: 20, card: { code: 'expired_card' } });
    await runRecharge(accountId);
    await turnOn(accountId, { monthlyMax: 20 });
    expect(await runRecharge(accountId)).toBe('declined');
  });
});

describe('the rule', () => {
  const sound = { belowNanoUsd: usd(10), amountNanoUsd: usd(20), monthlyMaxNanoUsd: usd(100) };

  it.each([
    ['below_out_of_bounds', { belowNanoUsd: 0 }],
    ['below_out_of_bounds', { belowNanoUsd: -1 }],
    ['below_out_of_bounds', { belowNanoUsd: usd(5_000) + 1, amountNanoUsd: usd(5_000) }],
    ['below_out_of_bounds', { belowNanoUsd: Number.NaN }],
    ['amount_out_of_bounds', { amountNanoUsd: usd(5) - 10_000_000 }],
    ['amount_out_of_bounds', { amountNanoUsd: usd(5_000) + 10_000_000 }],
    ['amount_out_of_bounds', { amountNanoUsd: usd(20) + 1 }],
    ['amount_out_of_bounds', { amountNanoUsd: -usd(20) }],
    ['amount_out_of_bounds', { amountNanoUsd: 20.5 }],
    ['amount_too_small', { belowNanoUsd: usd(20) + 1 }],
    ['monthly_max_out_of_bounds', { monthlyMaxNanoUsd: usd(20) - 1 }],
    ['monthly_max_out_of_bounds', { monthlyMaxNanoUsd: usd(50_000) + 1 }],
    ['monthly_max_out_of_bounds', { monthlyMaxNanoUsd: 1e300 }],
  ])('is refused as %s with %j', async (reason, change) => {
    const accountId = await accountWithCard(stripe);
    const request = { accountId, rule: { ...sound, ...change }, nowMs: Date.now() };
    expect(await setAutoRecharge(withStripe, request)).toEqual({ ok: false, reason });
    expect(await runRecharge(accountId)).toBe('off');
  });

  it('needs a card', async () => {
    const accountId = await accountWithCard(stripe);
    await env.DB.prepare('update auto_recharge set method_ref = null where account_id = ?')
      .bind(accountId)
      .run();
    const request = { accountId, rule: sound, nowMs: Date.now() };
    expect(await setAutoRecharge(withStripe, request)).toEqual({ ok: false, reason: 'no_card' });
  });

  it('turned off charges nothing', async () => {
    const accountId = await accountWithRecharge(stripe);
    await setAutoRecharge(withStripe, { accountId, rule: null, nowMs: Date.now() });
    expect(await runRecharge(accountId)).toBe('off');
    expect(stripe.intents).toEqual([]);
  });

  it('is the Wallet’s threshold in the end, also when it is turned off while the Wallet is being set', async () => {
    const accountId = await accountWithCard(stripe);
    const levels: unknown[] = [];
    let change: (() => Promise<unknown>) | null = null;
    const setAlertThresholds = async ({ rechargeBelowNanoUsd }: { rechargeBelowNanoUsd: unknown }) => {
      const meanwhile = change;
      change = null;
      await meanwhile?.();
      levels.push(rechargeBelowNanoUsd);
    };
    const WALLET = { getByName: () => ({ setAlertThresholds }) } as unknown as typeof withStripe.WALLET;
    const set = (rule: typeof sound | null) =>
      setAutoRecharge({ ...withStripe, WALLET }, { accountId, rule, nowMs: Date.now() });
    await set(sound);
    expect(levels).toEqual([usd(10)]);
    change = () => set(null);
    await set(sound);
    expect(levels).toEqual([usd(10), null, usd(10), null]);
  });
});
