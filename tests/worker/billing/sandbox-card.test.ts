import { describe, expect, it } from 'vitest';
import { beginCardSetup } from '../../../worker/billing/card.ts';
import { billing } from '../../../worker/billing/index.ts';
import { setAutoRecharge } from '../../../worker/billing/recharge/rule.ts';
import { type SandboxEvent, signedSandboxEvent } from '../../../worker/billing/sandbox/events.ts';
import { usd } from '../../../worker/domain/money.ts';
import { config, type Env } from '../../../worker/env.ts';
import { waitFor } from '../wait.ts';
import {
  deliver,
  env,
  newAccount,
  newOrder,
  orderState,
  paidBalance,
  signedEvent,
  topUpEntries,
} from './fixtures.ts';
import { notices, recharges, rule, runRecharge } from './recharge-fixtures.ts';

const ORIGIN = 'https://tollgate.test';

async function beginSetup(accountId?: string): Promise<{ accountId: string; page: string }> {
  const account = accountId ?? (await newAccount());
  const result = await beginCardSetup(env, { accountId: account, nowMs: Date.now() });
  if (!result.ok) throw new Error(result.reason);
  return { accountId: account, page: result.redirectUrl };
}

function open(url: string, using: Env = env, language = 'en') {
  return billing.request(url, { headers: { 'accept-language': language } }, using);
}

function press(page: string, card: string, origin = ORIGIN) {
  const init = { method: 'POST', headers: { origin }, body: new URLSearchParams({ card }) };
  return billing.request(page, init, env);
}

/**
 * An account that recharges $20 below $10 with one of the test cards. Its Wallet may start a recharge by itself,
 * which the tests tolerate.
 */
async function withRecharge(card: string): Promise<string> {
  const { accountId, page } = await beginSetup();
  await press(page, card);
  const newRule = { belowNanoUsd: usd(10), amountNanoUsd: usd(20), monthlyMaxNanoUsd: usd(100) };
  await setAutoRecharge(env, { accountId, rule: newRule, nowMs: Date.now() });
  return accountId;
}

async function send(event: SandboxEvent): Promise<[number, string]> {
  return deliver(await signedSandboxEvent(config(env), event, Date.now()));
}

describe('the page to save a card', () => {
  it('says what it is and offers each test card', async () => {
    const { page } = await beginSetup();
    const response = await open(page);
    const html = await response.text();
    expect(response.status).toBe(200);
    expect(html).toContain('This is a sandbox. No card is needed and no money moves.');
    for (const digits of ['4242', '0002', '3155']) expect(html).toContain(digits);
    expect(await (await open(page, env, 'fr')).text()).toContain('Enregistrer une carte qui fonctionne');
  });

  it('saves the card through the signed event, and goes back to billing', async () => {
    const { accountId, page } = await beginSetup();
    const response = await press(page, 'works');
    expect([response.status, response.headers.get('location')]).toEqual([
      303,
      '/billing?card=saved#recharge',
    ]);
    expect(await rule(accountId)).toMatchObject({ method_label: 'Sandbox …4242', enabled: 0 });
  });

  it('has an address that cannot be guessed, and does not exist in production', async () => {
    const { accountId, page } = await beginSetup();
    expect(page).not.toContain(accountId);
    for (const other of [accountId, `sandbox_${accountId}`, '..%2F', "' or 1=1 --"])
      expect((await open(`${ORIGIN}/sandbox/cards/${encodeURIComponent(other)}`)).status).toBe(404);
    expect((await open(page, { ...env, ENVIRONMENT: 'production' })).status).toBe(404);
  });

  it('saves nothing for a request from another site or an unknown card', async () => {
    const { accountId, page } = await beginSetup();
    expect((await press(page, 'works', 'https://evil.example')).status).toBe(403);
    expect((await press(page, 'constructor')).status).toBe(400);
    expect((await rule(accountId)).method_ref).toBe(null);
  });
});

describe('a recharge in the sandbox', () => {
  it('credits once through an event that follows the response, with an invoice', async () => {
    const accountId = await withRecharge('works');
    await Promise.all(Array.from({ length: 20 }, () => runRecharge(accountId, { using: env })));
    await waitFor(async () => expect((await recharges(accountId))[0]?.invoice_url).toBeTruthy());
    const [order] = await recharges(accountId);
    expect(order).toMatchObject({ state: 'paid', invoice_url: `${ORIGIN}/sandbox/invoices/${order!.id}` });
    expect(await paidBalance(accountId)).toBe(usd(20));
    expect(await runRecharge(accountId, { using: env })).toBe('not_needed');
    expect(await topUpEntries(accountId)).toBe(1);
    expect(await notices(accountId)).toMatchObject([{ kind: 'recharge.paid', orderId: order!.id }]);
  });

  it.each([
    ['declines', 'card_declined'],
    ['asks', 'authentication_required'],
  ])('with the card that %s is turned off', async (card, why) => {
    const accountId = await withRecharge(card);
    await runRecharge(accountId, { using: env });
    await waitFor(async () => expect(await rule(accountId)).toMatchObject({ enabled: 0, off_reason: why }));
    expect(await recharges(accountId)).toMatchObject([{ state: 'closed' }]);
    expect(await notices(accountId)).toMatchObject([{ kind: 'recharge.declined', why }]);
    expect(await paidBalance(accountId)).toBe(0);
  });
});

describe('the sandbox’s events', () => {
  it('credit and save nothing where they do not fit', async () => {
    const checkout = await newOrder(await newAccount());
    const forged = await signedEvent({ orderId: checkout, orderKind: 'recharge' });
    expect(await deliver(forged)).toEqual([200, 'held']);
    expect(await orderState(checkout)).toBe('open');

    const [mine, theirs] = [await beginSetup(), await beginSetup()];
    const card = { method_ref: 'sandbox_card_works', method_label: 'Sandbox …4242' };
    const myCustomer = String((await rule(mine.accountId)).customer_ref);
    const data = { account_id: theirs.accountId, customer_ref: myCustomer, ...card };
    expect(await send({ type: 'card.saved', data })).toEqual([400, 'customer_mismatch']);
    expect((await rule(theirs.accountId)).method_ref).toBe(null);

    const sum = { order_id: checkout, amount_cents: 2_000, currency: 'USD' };
    const invoice_url = 'javascript:alert(1)';
    expect(await send({ type: 'invoice.paid', data: { ...sum, invoice_url } })).toEqual([
      400,
      'event_malformed',
    ]);
    for (const amount_cents of [0, -1, 0.5, 1e300])
      expect(
        await send({ type: 'payment.paid', data: { ...sum, order_kind: 'checkout', amount_cents } }),
      ).toEqual([400, 'event_malformed']);
  });

  it('about a card are duplicates when they are delivered again', async () => {
    const { accountId } = await beginSetup();
    const customer_ref = String((await rule(accountId)).customer_ref);
    const data = { account_id: accountId, customer_ref, method_ref: 'sandbox_card_works', method_label: 'x' };
    const event = await signedSandboxEvent(config(env), { type: 'card.saved', data }, Date.now());
    expect(await deliver(event)).toEqual([200, 'saved']);
    expect(await deliver(event)).toEqual([200, 'duplicate']);
  });
});

describe('the invoice page', () => {
  it('exists once its order is paid, and says that it is a sandbox', async () => {
    const orderId = await newOrder(await newAccount());
    const page = `${ORIGIN}/sandbox/invoices/${orderId}`;
    expect((await open(page)).status).toBe(404);
    const pay = {
      method: 'POST',
      headers: { origin: ORIGIN },
      body: new URLSearchParams({ decision: 'paid' }),
    };
    await billing.request(`${ORIGIN}/sandbox/checkout/${orderId}`, pay, env);
    const html = await (await open(page)).text();
    expect(html).toContain('This is a sandbox.');
    expect(html).toContain(orderId);
    expect(html).toContain('$20.00');
    const kept = await env.DB.prepare('select invoice_url from payment_order where id = ?')
      .bind(orderId)
      .first();
    expect(kept).toEqual({ invoice_url: page });
    expect((await open(page, { ...env, ENVIRONMENT: 'production' })).status).toBe(404);
  });

  it('of a recharge is not reachable as a checkout page', async () => {
    const accountId = await withRecharge('works');
    await runRecharge(accountId, { using: env });
    const [order] = await recharges(accountId);
    expect((await open(`${ORIGIN}/sandbox/checkout/${order!.id}`)).status).toBe(404);
  });
});
