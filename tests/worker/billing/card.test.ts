import { beforeEach, describe, expect, it, vi } from 'vitest';
import { beginCardSetup, removeCard } from '../../../worker/billing/card.ts';
import { beginTopUp } from '../../../worker/billing/top-up.ts';
import { usd } from '../../../worker/domain/money.ts';
import { env, newAccount } from './fixtures.ts';
import { accountWithCard, accountWithRecharge, rule, runRecharge } from './recharge-fixtures.ts';
import { deliver, send, withStripe } from './stripe-fixtures.ts';
import { stripe } from './stripe-fresh.ts';
import { stripeEvent } from './stripe-signed.ts';
import { CARD } from './stripe-state.ts';

const COMPLETED = 'checkout.session.completed';

beforeEach(() => {
  vi.spyOn(console, 'error').mockImplementation(() => {});
  vi.spyOn(console, 'warn').mockImplementation(() => {});
});

async function beginSetup(accountId?: string): Promise<string> {
  const account = accountId ?? (await newAccount());
  const result = await beginCardSetup(withStripe, { accountId: account, nowMs: Date.now() });
  expect(result).toEqual({ ok: true, redirectUrl: stripe.sessions.at(-1)!.url });
  return account;
}

describe('saving a card', () => {
  it('goes to Stripe’s page in setup mode, and the signed event stores the card', async () => {
    const accountId = await beginSetup();
    const [customer] = stripe.customers.keys();
    expect(stripe.calls.at(-1)!.params).toEqual({
      mode: 'setup',
      currency: 'usd',
      'allowed_payment_method_types[0]': 'card',
      customer,
      'metadata[tollgate_account_id]': accountId,
      'setup_intent_data[metadata][tollgate_account_id]': accountId,
      success_url: 'https://tollgate.test/billing?card=saved#recharge',
      cancel_url: 'https://tollgate.test/billing#recharge',
    });
    expect(await rule(accountId)).toMatchObject({ method_ref: null, customer_ref: customer });
    const event = await stripeEvent(COMPLETED, stripe.saveCard('works', 'amex'));
    expect(await deliver(event)).toEqual([200, 'saved']);
    const saved = await rule(accountId);
    expect(saved).toMatchObject({ method_label: 'American Express …4242', enabled: 0 });
    expect(saved.method_ref).toMatch(/^pm_/);
    expect(await deliver(event)).toEqual([200, 'duplicate']);
    expect(JSON.stringify(saved)).not.toContain(CARD.fingerprint);
  });

  it('uses one customer for cards and top-ups, however many are begun at once', async () => {
    const accountId = await newAccount();
    const request = { accountId, nowMs: Date.now() };
    await Promise.all([
      beginCardSetup(withStripe, request),
      beginCardSetup(withStripe, request),
      beginTopUp(withStripe, { ...request, amountNanoUsd: usd(20) }),
    ]);
    await beginTopUp(withStripe, { ...request, amountNanoUsd: usd(20) });
    expect(stripe.customers.size).toBe(1);
    const [customer] = stripe.customers.keys();
    expect(new Set(stripe.sessions.map((session) => session.customer))).toEqual(new Set([customer]));
  });

  it('replaces the last card, which Stripe forgets', async () => {
    const accountId = await accountWithRecharge(stripe, { card: { code: 'expired_card' } });
    const old = String((await rule(accountId)).method_ref);
    await runRecharge(accountId);
    await beginSetup(accountId);
    expect(await send(COMPLETED, stripe.saveCard())).toEqual([200, 'saved']);
    const row = await rule(accountId);
    expect(row.method_ref).not.toBe(old);
    expect(row).toMatchObject({ enabled: 0, off_reason: null });
    expect(stripe.callsTo('POST', `/v1/payment_methods/${old}/detach`)).toHaveLength(1);
  });

  it('is retried when Stripe cannot be reached for the setup intent', async () => {
    await beginSetup();
    const event = await stripeEvent(COMPLETED, stripe.saveCard());
    stripe.faults.push({ status: 429, error: { type: 'invalid_request_error', code: 'rate_limit' } });
    expect(await deliver(event)).toEqual([500, 'broken']);
    expect(await deliver(event)).toEqual([200, 'saved']);
  });

  it('fails with provider_unavailable when Stripe refuses to begin', async () => {
    stripe.faults.push({ status: 400, error: { type: 'invalid_request_error' } });
    const accountId = await newAccount();
    const result = await beginCardSetup(withStripe, { accountId, nowMs: Date.now() });
    expect(result).toEqual({ ok: false, reason: 'provider_unavailable' });
  });
});

describe('an event about a card', () => {
  it('of another account’s customer is refused', async () => {
    const mine = await beginSetup();
    const mySession = stripe.saveCard();
    const theirs = await accountWithCard(stripe);
    const before = await rule(theirs);
    // Both metadata name their account, but the customer is mine.
    const setup = stripe.setup(String(mySession.setup_intent));
    const forged = { tollgate_account_id: theirs };
    Object.assign(setup.metadata as object, forged);
    const answer = await send(COMPLETED, { ...mySession, metadata: forged });
    expect(answer).toEqual([400, 'customer_mismatch']);
    expect(await rule(theirs)).toEqual(before);
    expect((await rule(mine)).method_ref).toBe(null);
  });

  it.each([
    ['for an account that its setup does not name', { metadata: { tollgate_account_id: 'acct_other' } }],
    ['of a customer that its setup does not name', { customer: 'cus_other' }],
    ['without a setup', { setup_intent: null }],
    ['without a customer', { customer: null }],
  ])('%s is refused', async (_, change) => {
    const accountId = await beginSetup();
    const session = stripe.saveCard();
    expect(await send(COMPLETED, { ...session, ...change })).toEqual([400, 'event_malformed']);
    expect((await rule(accountId)).method_ref).toBe(null);
  });

  it('of an account without a customer is refused', async () => {
    await beginSetup();
    const session = stripe.saveCard();
    await env.DB.prepare('delete from auto_recharge').run();
    expect(await send(COMPLETED, session)).toEqual([400, 'customer_mismatch']);
  });

  it('that is not ours is ignored', async () => {
    await beginSetup();
    expect(await send(COMPLETED, { ...stripe.saveCard(), metadata: {} })).toEqual([200, 'ignored']);
  });

  it('that arrives late does not bring back a removed card', async () => {
    const accountId = await beginSetup();
    const session = stripe.saveCard();
    expect(await send(COMPLETED, session)).toEqual([200, 'saved']);
    await removeCard(withStripe, { accountId, nowMs: Date.now() });
    expect(await send(COMPLETED, session)).toEqual([200, 'ignored']);
    expect(await rule(accountId)).toMatchObject({ method_ref: null, method_label: null });
  });
});

describe('removing the card', () => {
  it('has Stripe forget it and turns recharge off', async () => {
    const accountId = await accountWithRecharge(stripe);
    const { method_ref, customer_ref } = await rule(accountId);
    expect(await removeCard(withStripe, { accountId, nowMs: Date.now() })).toEqual({ ok: true });
    expect(stripe.callsTo('POST', `/v1/payment_methods/${method_ref}/detach`)).toHaveLength(1);
    expect(await rule(accountId)).toMatchObject({ method_ref: null, enabled: 0, customer_ref });
    expect(await runRecharge(accountId)).toBe('off');
    expect(stripe.intents).toEqual([]);
    expect(await removeCard(withStripe, { accountId, nowMs: Date.now() })).toEqual({ ok: true });
  });

  it('works for a card that Stripe has already forgotten', async () => {
    const accountId = await accountWithCard(stripe);
    stripe.detach(String((await rule(accountId)).method_ref));
    expect(await removeCard(withStripe, { accountId, nowMs: Date.now() })).toEqual({ ok: true });
    expect((await rule(accountId)).method_ref).toBe(null);
  });

  it('keeps it when Stripe cannot be reached', async () => {
    const accountId = await accountWithCard(stripe);
    stripe.faults.push('reset', 'reset', 'reset');
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const removed = removeCard(withStripe, { accountId, nowMs: Date.now() });
    await vi.advanceTimersByTimeAsync(60_000);
    expect(await removed).toEqual({ ok: false, reason: 'provider_unavailable' });
    vi.useRealTimers();
    expect((await rule(accountId)).method_ref).not.toBe(null);
  });
});

it('a purchase order is printed on the invoice of its top-up', async () => {
  const request = { accountId: await newAccount(), amountNanoUsd: usd(20), nowMs: Date.now() };
  await beginTopUp(withStripe, { ...request, purchaseOrder: 'PO 4711' });
  expect(stripe.calls.at(-1)!.params).toMatchObject({
    'invoice_creation[invoice_data][custom_fields][0][name]': 'Purchase order',
    'invoice_creation[invoice_data][custom_fields][0][value]': 'PO 4711',
  });
});
