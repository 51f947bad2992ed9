import { Hono } from 'hono';
import { describe, expect, it } from 'vitest';
import { billing } from '../../../worker/billing/index.ts';
import type { Env } from '../../../worker/env.ts';
import { env, newAccount, newOrder, orderState, paidBalance, topUpEntries } from './fixtures.ts';

const ORIGIN = 'https://tollgate.test';

function open(orderId: string, headers: Record<string, string> = {}, using: Env = env) {
  return billing.request(`${ORIGIN}/sandbox/checkout/${orderId}`, { headers }, using);
}

function press(
  orderId: string,
  decision: string,
  { headers = { origin: ORIGIN }, using = env }: { headers?: Record<string, string>; using?: Env } = {},
) {
  const init = { method: 'POST', headers, body: new URLSearchParams({ decision }) };
  return billing.request(`${ORIGIN}/sandbox/checkout/${orderId}`, init, using);
}

async function beginOrder(dollars = 20) {
  const accountId = await newAccount();
  return { accountId, orderId: await newOrder(accountId, dollars) };
}

describe('the checkout page', () => {
  it('says what it is, what will be paid, and offers both buttons', async () => {
    const { orderId } = await beginOrder();
    const response = await open(orderId);
    const html = await response.text();
    expect(html.startsWith('<!doctype html><html lang="en">')).toBe(true);
    expect(html).toContain('This is a sandbox. No card is needed and no money moves.');
    expect(html).toContain('Pay $20.00');
    expect(html).toContain('Decline');
    expect(html).toContain(orderId);
    expect(response.headers.get('content-security-policy')).toContain("default-src 'none'");
    expect(response.headers.get('cache-control')).toBe('no-store');
  });

  it('is in French for browsers that prefer it', async () => {
    const { orderId } = await beginOrder(1_234.5);
    const french = await (await open(orderId, { 'accept-language': 'fr-CA,fr;q=0.9,en;q=0.5' })).text();
    expect(french).toContain('<html lang="fr">');
    expect(french).toMatch(/Payer 1\s234,50\s\$/);
    const chosen = await open(orderId, { 'accept-language': 'fr', cookie: 'language=en' });
    expect(await chosen.text()).toContain('<html lang="en">');
  });

  it('does not exist for unknown orders, for those of other providers, and in production', async () => {
    const { orderId } = await beginOrder();
    expect((await open('order_00000000000000000000000000')).status).toBe(404);
    const script = await open('%3Cscript%3Ealert(1)%3C%2Fscript%3E');
    expect([script.status, await script.text()]).toEqual([404, expect.not.stringContaining('alert')]);
    const production = { ...env, ENVIRONMENT: 'production' };
    expect((await open(orderId, {}, production)).status).toBe(404);
    await env.DB.prepare("update payment_order set provider = 'stripe' where id = ?").bind(orderId).run();
    expect((await open(orderId)).status).toBe(404);
  });
});

describe('pressing pay', () => {
  it('credits the account through the webhook and goes back to billing', async () => {
    const { accountId, orderId } = await beginOrder();
    const response = await press(orderId, 'paid');
    expect([response.status, response.headers.get('location')]).toEqual([303, `/billing?order=${orderId}`]);
    expect(await paidBalance(accountId)).toBe(20_000_000_000);
    const after = await (await open(orderId)).text();
    expect(after).toContain('This order is paid.');
    expect(after).not.toContain('<button');
  });

  it('twice credits once', async () => {
    const { accountId, orderId } = await beginOrder();
    await Promise.all([press(orderId, 'paid'), press(orderId, 'paid')]);
    await press(orderId, 'paid');
    expect(await topUpEntries(accountId)).toBe(1);
  });

  it('from another site does nothing', async () => {
    const { accountId, orderId } = await beginOrder();
    const foreign = [
      {},
      { origin: 'https://evil.example' },
      { origin: 'null' },
      { origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' },
      { origin: 'https://tollgate.test.evil.example', host: 'tollgate.test' },
    ];
    for (const headers of foreign as Record<string, string>[]) {
      expect((await press(orderId, 'paid', { headers })).status).toBe(403);
    }
    expect(await paidBalance(accountId)).toBe(0);
    expect(await orderState(orderId)).toBe('open');
  });

  it('from another site is a 403 also inside a Worker whose error handler returns 500', async () => {
    const { orderId } = await beginOrder();
    const whole = new Hono().onError((_, c) => c.text('broken', 500)).route('/', billing);
    const headers = { origin: 'https://evil.example', 'content-type': 'application/x-www-form-urlencoded' };
    const init = { method: 'POST', headers, body: 'decision=paid' };
    expect((await whole.request(`/sandbox/checkout/${orderId}`, init, env)).status).toBe(403);
  });

  it('says so when the event could not be delivered, and can be pressed again', async () => {
    const { accountId, orderId } = await beginOrder();
    const wallet = { topUp: () => Promise.reject(new Error('this Wallet is down')) };
    const using = { ...env, WALLET: { getByName: () => wallet } as unknown as Env['WALLET'] };
    const response = await press(orderId, 'paid', { using });
    expect(response.status).toBe(502);
    expect(await response.text()).toContain('try again');
    expect((await press(orderId, 'paid')).status).toBe(303);
    expect(await paidBalance(accountId)).toBe(20_000_000_000);
  });
});

describe('pressing anything else', () => {
  it('declined leaves the order open and credits nothing', async () => {
    const { accountId, orderId } = await beginOrder();
    const response = await press(orderId, 'declined');
    expect([response.status, response.headers.get('location')]).toEqual([303, '/billing?top_up=declined']);
    expect(await orderState(orderId)).toBe('open');
    expect(await paidBalance(accountId)).toBe(0);
  });

  it('is refused', async () => {
    const { orderId } = await beginOrder();
    expect((await press(orderId, 'x'.repeat(2_000))).status).toBe(413);
    expect((await press(orderId, 'constructor')).status).toBe(400);
    expect(await orderState(orderId)).toBe('open');
  });
});
