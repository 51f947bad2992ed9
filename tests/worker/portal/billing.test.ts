/** The billing page: saved card, auto-recharge, payments and what is owed. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { billing } from '../../../worker/billing/index.ts';
import { beginTopUp } from '../../../worker/billing/top-up.ts';
import { usd } from '../../../worker/domain/money.ts';
import { en } from '../../../worker/i18n/en/index.ts';
import { fr } from '../../../worker/i18n/fr/index.ts';
import { env } from '../billing/fixtures.ts';
import { recharges, rule, runRecharge } from '../billing/recharge-fixtures.ts';
import { waitFor } from '../wait.ts';
import { Browser, ORIGIN } from './browser.ts';

let browser: Browser;
let accountId: string;

/** Signs up a person, whose browser and account the test then uses. */
async function signUp(language = 'en') {
  browser = new Browser(language);
  const { email } = await browser.signUpConfirmed();
  const row = await env.DB.prepare(
    'select member.account_id as id from member join person on person.id = member.person_id where email = ?',
  )
    .bind(email)
    .first<{ id: string }>();
  accountId = row!.id;
}

async function pageAt(path = '/billing'): Promise<string> {
  return (await browser.get(path)).text();
}

async function saveCard(card = 'works') {
  const redirect = await browser.post('/billing/card', {});
  const cardPage = redirect.headers.get('location')!;
  expect(cardPage).toMatch(/^https:\/\/tollgate\.test\/sandbox\/cards\/sandbox_/);
  const init = { method: 'POST', headers: { origin: ORIGIN }, body: new URLSearchParams({ card }) };
  const back = await billing.request(cardPage, init, env);
  return pageAt(back.headers.get('location')!);
}

const RULE = { belowUsd: '2', rechargeUsd: '20', monthlyMaxUsd: '50' };

beforeEach(async () => {
  vi.spyOn(console, 'error').mockImplementation(() => {});
  await signUp();
});
afterEach(() => {
  vi.restoreAllMocks();
});

describe('the billing page', () => {
  it('offers to save a card, and no auto-recharge rule without one', async () => {
    const html = await pageAt();
    expect(html).toContain(en.billing.noCard);
    expect(html).toContain(en.billing.saveCard);
    expect(html).not.toContain('name="belowUsd"');
    expect(html).toContain(en.billing.paymentsEmpty);
  });

  it('says at once that a top-up was declined, and how to go on', async () => {
    const begun = await beginTopUp(env, { accountId, amountNanoUsd: usd(25), nowMs: Date.now() });
    if (!begun.ok) throw new Error(begun.reason);
    const body = new URLSearchParams({ decision: 'declined' });
    const init = { method: 'POST', headers: { origin: ORIGIN }, body };
    await billing.request(begun.redirectUrl, init, env);
    const html = await pageAt();
    expect(html).toContain(en.billing.orderDeclined);
    expect(html).toMatch(new RegExp(`href="#top-up"[^>]*>\\s*${en.billing.payAgain}`));
    expect(html).not.toContain(en.billing.orderStates.checkout.open);
  });

  it('saves a card, turns recharge on and off, and removes the card', async () => {
    const saved = await saveCard();
    expect(saved).toContain(en.billing.cardNotice.saved);
    expect(saved).toContain('Sandbox …4242');
    const on = await browser.postAndFollow('/billing/recharge', RULE);
    expect(await on.text()).toContain(en.billing.rechargeNotice.on);
    expect(await rule(accountId)).toMatchObject({
      enabled: 1,
      below_nano_usd: usd(2),
      amount_nano_usd: usd(20),
      monthly_max_nano_usd: usd(50),
    });
    expect(await pageAt()).toContain('value="50.00"');
    const off = await browser.postAndFollow('/billing/recharge/off', {});
    expect(await off.text()).toContain(en.billing.rechargeNotice.off);
    const removed = await browser.postAndFollow('/billing/card/remove', {});
    expect(await removed.text()).toContain(en.billing.cardNotice.removed);
    expect(await rule(accountId)).toMatchObject({ enabled: 0, method_ref: null });
  });

  it.each([
    ['belowUsd', '0', 'below_bounds'],
    ['belowUsd', '', 'below_bounds'],
    ['belowUsd', '-5', 'amount'],
    ['belowUsd', '20.01', 'recharge_too_small'],
    ['rechargeUsd', '4.99', 'amount_bounds'],
    ['rechargeUsd', '20.001', 'amount_bounds'],
    ['rechargeUsd', '1e9', 'amount'],
    ['rechargeUsd', '999999', 'amount_bounds'],
    ['monthlyMaxUsd', '19.99', 'monthly_max_bounds'],
    ['monthlyMaxUsd', '50000.01', 'monthly_max_bounds'],
  ] as const)('marks %s of %j with a message, and keeps the input', async (field, typed, fault) => {
    await saveCard();
    const response = await browser.post('/billing/recharge', { ...RULE, [field]: typed });
    expect(response.status).toBe(422);
    const html = await response.text();
    expect(html).toContain(en.faults[fault]);
    expect(html).toContain(`value="${typed}"`);
    expect((await rule(accountId)).enabled).toBe(0);
  });

  it('says why recharge was turned off and what to do, in both languages', async () => {
    await saveCard('asks');
    // the threshold is above the trial credit, so that a recharge is due at once
    await browser.post('/billing/recharge', { belowUsd: '100', rechargeUsd: '100', monthlyMaxUsd: '150' });
    await runRecharge(accountId, { using: env });
    await waitFor(async () => expect((await rule(accountId)).enabled).toBe(0));
    const html = await pageAt();
    expect(html).toContain(en.billing.offTitle);
    expect(html).toContain(en.billing.declines.authentication_required);
    expect(html).toContain(en.billing.orderStates.recharge.closed);
    browser.cookies.set('__Host-language', 'fr');
    const french = await pageAt();
    expect(french).toContain(fr.billing.offTitle);
    expect(french).toContain(fr.billing.declines.authentication_required);
  });

  it('lists payments with their invoices, and the month’s total', async () => {
    await saveCard();
    await browser.post('/billing/recharge', { belowUsd: '100', rechargeUsd: '100', monthlyMaxUsd: '150' });
    await runRecharge(accountId, { using: env });
    await waitFor(async () => expect((await recharges(accountId))[0]?.invoice_url).toBeTruthy());
    await beginTopUp(env, { accountId, amountNanoUsd: usd(33), nowMs: Date.now() });
    const html = await pageAt();
    const [order] = await recharges(accountId);
    expect(html).toContain(`href="${ORIGIN}/sandbox/invoices/${order!.id}"`);
    expect(html).toContain(en.billing.monthlyMaxHint('$100.00'));
    expect(html).toContain('$33.00');
    expect(html).toContain(en.billing.orderStates.checkout.open);
  });

  it('shows what is owed', async () => {
    const wallet = env.WALLET.getByName(accountId);
    await wallet.correct({ reference: 'order_x/1', amountNanoUsd: (0 - usd(12)) as never });
    const owed = (await wallet.balance()).owedNanoUsd;
    expect(owed).toBeGreaterThan(0);
    expect(await pageAt()).toContain(en.billing.owed('$7.00'));
  });

  it('accepts no form of another site or of a person who is not signed in', async () => {
    await saveCard();
    for (const path of [
      '/billing/recharge',
      '/billing/recharge/off',
      '/billing/card',
      '/billing/card/remove',
    ]) {
      expect((await browser.post(path, RULE, 'https://evil.example')).status).toBe(403);
      const stranger = await new Browser().post(path, RULE);
      expect([stranger.status, stranger.headers.get('location')]).toEqual([303, '/sign-in']);
    }
    expect(await rule(accountId)).toMatchObject({ enabled: 0, method_label: 'Sandbox …4242' });
  });

  it('rejects a purchase order number that cannot be printed', async () => {
    for (const purchaseOrder of ['x'.repeat(81), 'PO\u202e4711'])
      expect((await browser.post('/billing', { amount: '20', otherUsd: '', purchaseOrder })).status).toBe(
        422,
      );
    const fine = await browser.post('/billing', { amount: '20', otherUsd: '', purchaseOrder: 'PO 4711' });
    expect(fine.status).toBe(303);
  });

  it.each([
    ['en', '5,000', 5_000],
    ['en', '1,234.50', 1_234.5],
    ['en', '50,00', null],
    ['fr', '5 000', 5_000],
    ['fr', '1\u202f234,50', 1_234.5],
    ['fr', '5.000', null],
    ['fr', '12,50', 12.5],
  ])('on a page in %s, takes %j for an order of %s dollars', async (language, otherUsd, dollars) => {
    await signUp(language);
    const response = await browser.post('/billing', { amount: 'other', otherUsd });
    const orders = await env.DB.prepare(
      'SELECT amount_nano_usd AS nano FROM payment_order WHERE account_id = ?',
    )
      .bind(accountId)
      .all<{ nano: number }>();
    expect(response.status).toBe(dollars === null ? 422 : 303);
    expect(orders.results).toEqual(dollars === null ? [] : [{ nano: dollars * 1e9 }]);
    // A refused amount is still in its field, beside what is wrong with it.
    if (dollars === null) expect(await response.text()).toContain(`value="${otherUsd}"`);
  });
});
