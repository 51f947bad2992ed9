/** A startup's first hour in the portal, in a real browser with JavaScript off: each page is a page and each act a form. */
import type { BrowserContext, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { en } from '../../worker/portal/language/en.ts';
import { fr } from '../../worker/portal/language/fr.ts';
import { type BalanceInfo, eventually, nano } from '../e2e/local.ts';
import {
  amountNano,
  count,
  openPortal,
  type Portal,
  rowsOf,
  shownIn,
  signIn,
  tile,
  tileNano,
} from './kit.ts';

const ada = { name: 'Ada’s startup', email: 'ada@startup.example', password: 'quiet analytical engine' };

let portal: Portal;
let context: BrowserContext;
let page: Page;
/** of the first key, as the page showed it */
let apiKey: string;
let requestId: string;

beforeAll(async () => {
  portal = await openPortal();
  context = await portal.visitor({ javaScriptEnabled: false });
  page = await context.newPage();
});
afterAll(() => portal?.end());

async function ask<T>(path: string, key = apiKey): Promise<T> {
  const response = await fetch(portal.origin + path, { headers: { authorization: `Bearer ${key}` } });
  expect(response.status, path).toBe(200);
  return (await response.json()) as T;
}

async function apiBalance(): Promise<BalanceInfo> {
  return (await ask<{ balance_infos: BalanceInfo[] }>('/user/balance')).balance_infos[0]!;
}

interface Generation {
  usage: {
    prompt_tokens: number;
    cached_tokens: number;
    completion_tokens: number;
    reasoning_tokens: number;
  };
  charge_nano_usd: number;
  ledger_entry: number;
}

it('signs up without a card and shows the first key inside a request that works as it stands', async () => {
  await page.goto('/');
  await page.locator('main').getByRole('link', { name: en.landing.call }).click();
  await page.getByLabel(en.signUp.name).fill(ada.name);
  await page.getByLabel(en.signUp.email).fill(ada.email);
  await page.getByLabel(en.signUp.password).fill(ada.password);
  await page.getByRole('button', { name: en.signUp.submit }).click();
  await page.waitForURL('**/start');

  const curl = await shownIn(page.locator('[data-snippet=curl] code'));
  const [, url = '', key = '', body = ''] =
    curl.match(/^curl (\S+) [\s\S]*Bearer (\S+)"[\s\S]*-d '([\s\S]*)'$/) ?? [];
  expect(await shownIn(page.locator('[data-secret]'))).toBe(key);
  const tick = page.frameLocator('iframe');
  await tick.getByText(en.start.waiting).waitFor();

  const response = await fetch(url, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body,
  });
  expect(response.status).toBe(200);
  requestId = ((await response.json()) as { id: string }).id;
  apiKey = key;

  await tick.getByText('✓ Received').waitFor();
  expect(await shownIn(page.locator('[data-secret]'))).toBe(key);
});

it('shows the tokens and the exact charge of that request, as the API gives them', async () => {
  const { usage, ...generation } = await ask<Generation>(`/v1/generations/${requestId}`);
  const uncached = usage.prompt_tokens - usage.cached_tokens;
  await page.frameLocator('iframe').getByRole('link', { name: en.start.seeUsage }).click();
  await page.waitForURL('**/usage');

  const [hour, ...others] = await rowsOf(page, en.usage.tableTitle.hour);
  expect(others).toEqual([]);
  expect(hour).toMatchObject({ [en.usage.key]: en.signUp.firstKeyName, [en.usage.requests]: '1' });
  expect({
    cached: count(hour![en.usage.kinds.cached]!),
    uncached: count(hour![en.usage.kinds.uncached]!),
    reasoning: count(hour![en.usage.kinds.reasoning]!),
    answer: count(hour![en.usage.kinds.answer]!),
    charge: amountNano(hour![en.usage.chargeUsd]!),
  }).toEqual({
    cached: usage.cached_tokens,
    uncached,
    reasoning: usage.reasoning_tokens,
    answer: usage.completion_tokens - usage.reasoning_tokens,
    charge: generation.charge_nano_usd,
  });
  expect(await tileNano(page, en.usage.charge)).toBe(generation.charge_nano_usd);

  const [request] = await rowsOf(page, en.usage.recentTitle);
  expect(request![en.usage.request]).toBe(requestId);
  expect(amountNano(request![en.usage.chargeUsd]!)).toBe(generation.charge_nano_usd);
  expect(Number(request![en.usage.entry])).toBe(generation.ledger_entry);
  const arithmetic = await shownIn(page.locator(`#${requestId} + tr`));
  const [, ...sum] = arithmetic.match(/(\S+) × (\S+) \+ \D+(\S+) × (\S+) \+ \D+(\S+) × (\S+) = (\S+) nano/)!;
  const [a, b, c, d, e, f, charge] = sum.map(count) as [
    number,
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  expect([a, c, e]).toEqual([usage.cached_tokens, uncached, usage.completion_tokens]);
  expect(a * b + c * d + e * f).toBe(charge);
  expect(charge).toBe(generation.charge_nano_usd);
});

it('says the same in tiles, ledger and API, to the billionth of a dollar', async () => {
  const balance = await apiBalance();
  const { charge_nano_usd: charge } = await ask<Generation>(`/v1/generations/${requestId}`);
  await page.getByRole('link', { name: en.nav.billing, exact: true }).click();
  await page.waitForURL('**/billing');
  expect(await tileNano(page, en.billing.granted)).toBe(nano(balance.granted_balance));
  expect(await tileNano(page, en.billing.paid)).toBe(nano(balance.topped_up_balance));
  expect(await tileNano(page, en.billing.available)).toBe(nano(balance.total_balance));
  const ledger = await rowsOf(page, en.billing.ledgerTitle);
  expect(ledger.map((entry) => entry[en.billing.kind])).toEqual([
    en.billing.kinds.charge,
    en.billing.kinds.grant,
  ]);
  expect(ledger[0]![en.billing.reference]).toBe(requestId);
  expect(ledger.map((entry) => amountNano(entry[en.billing.grantedUsd]!))).toEqual([-charge, 5e9]);
  expect(ledger.map((entry) => amountNano(entry[en.billing.balance]!))).toEqual([5e9 - charge, 5e9]);
  expect(nano(balance.total_balance)).toBe(5e9 - charge);
});

it('adds exactly ten dollars for a payment of ten, once however often its pages are sent again', async () => {
  const before = nano((await apiBalance()).total_balance);
  const topUps = async () => {
    const ledger = await rowsOf(page, en.billing.ledgerTitle);
    return ledger
      .filter((entry) => entry[en.billing.kind] === en.billing.kinds.top_up)
      .map((entry) => amountNano(entry[en.billing.paidUsd]!));
  };
  await page.goto('/billing');
  await page.getByRole('radio', { name: '$10.00' }).check();
  await page.getByRole('button', { name: en.billing.submit }).click();
  await page.waitForURL('**/sandbox/checkout/order_*');
  const checkout = page.url();
  await page.getByRole('button', { name: 'Pay $10.00' }).click();

  await page.waitForURL('**/billing?order=*');
  await page.getByText(en.billing.paidNotice('$10.00')).waitFor();
  expect(await topUps()).toEqual([10e9]);
  expect(await tileNano(page, en.billing.paid)).toBe(10e9);
  expect(await tileNano(page, en.billing.available)).toBe(before + 10e9);
  expect(nano((await apiBalance()).total_balance)).toBe(before + 10e9);

  await page.goto(checkout);
  await page.reload();
  expect(await page.getByRole('button').count()).toBe(0);
  const again = await context.request.post(checkout, {
    form: { decision: 'paid' },
    headers: { origin: portal.origin },
  });
  expect(again.ok()).toBe(true);
  await page.goto('/billing');
  expect(await topUps()).toEqual([10e9]);
  expect(nano((await apiBalance()).total_balance)).toBe(before + 10e9);
});

it('credits nothing for a declined payment, and pays the amount that was typed', async () => {
  const before = await apiBalance();
  await page.goto('/billing');
  await page.locator('#otherUsd').fill('12,50');
  await page.getByRole('button', { name: en.billing.submit }).click();
  await page.getByRole('button', { name: 'Pay $12.50' }).waitFor();
  await page.getByRole('button', { name: 'Decline' }).click();
  await page.getByText(en.billing.declinedNotice).waitFor();
  expect(await apiBalance()).toEqual(before);
});

it('shows a new key with its cap, once, and ends it when it is revoked', async () => {
  await page.goto('/keys');
  await page.locator('#name').fill('chat backend');
  await page.locator('#capUsd').fill('12.50');
  await page.locator('#capPeriod').selectOption('day');
  await page.getByRole('button', { name: en.keys.submit }).click();
  await page.waitForURL('**/keys');
  const key = await shownIn(page.locator('[data-secret]'));
  expect(await ask<{ id: string }>('/v1/key', key)).toBeTruthy();

  await page.reload();
  expect(await page.locator('[data-secret]').count()).toBe(0);
  expect(await page.content()).not.toContain(key);
  const state = async () => {
    const keys = await rowsOf(page, en.keys.title);
    return keys.find((row) => row[en.keys.name] === 'chat backend')!;
  };
  expect((await state())[en.keys.spent]).toBe('$0.00 / $12.50 (a day)');

  await page.getByRole('link', { name: `${en.keys.revoke}: chat backend` }).click();
  await page.getByRole('button', { name: en.keys.revokeSubmit }).click();
  await page.getByText(en.keys.revoked, { exact: true }).waitFor();
  expect((await state())[en.keys.state]).toBe(en.keys.states.revoked);
  await eventually(async () => {
    const headers = { authorization: `Bearer ${key}` };
    return (await fetch(`${portal.origin}/v1/key`, { headers })).status === 401;
  }, 10_000);
});

it('speaks French to a French browser, and to whoever chooses it', async () => {
  const french = await (await portal.visitor({ locale: 'fr-FR', javaScriptEnabled: false })).newPage();
  await french.goto('/sign-up');
  expect(await french.locator('html').getAttribute('lang')).toBe('fr');
  await french.getByRole('heading', { name: fr.signUp.title }).waitFor();

  await page.goto('/usage?period=7d');
  await page.getByRole('button', { name: 'Français' }).click();
  await page.waitForURL('**/usage?period=7d');
  await page.getByRole('heading', { name: fr.usage.title }).waitFor();
  expect(await shownIn(tile(page, fr.usage.charge))).toMatch(/^0,\d+\s\$$/);
  await page.getByRole('button', { name: 'English' }).click();
  await page.getByRole('heading', { name: en.usage.title }).waitFor();
});

it('asks to sign in after sign-out, and leads back to the page that was wanted', async () => {
  await page.getByRole('button', { name: en.nav.signOut }).click();
  await page.locator('header').getByRole('link', { name: en.nav.signIn }).waitFor();
  for (const path of ['/start', '/keys', '/usage', '/billing']) {
    await page.goto(path);
    expect(new URL(page.url()).pathname, path).toBe('/sign-in');
  }
  await page.locator('#email').fill(ada.email);
  await page.locator('#password').fill('not the password');
  await page.getByRole('main').getByRole('button', { name: en.signIn.submit }).click();
  await page.getByRole('alert').getByText(en.signIn.wrong).waitFor();
  await page.locator('#password').fill(ada.password);
  await page.getByRole('main').getByRole('button', { name: en.signIn.submit }).click();
  await page.waitForURL('**/billing');
});

it('keeps one startup’s requests and keys from another', async () => {
  const stranger = await (await portal.visitor({ javaScriptEnabled: false })).newPage();
  await signIn(stranger, portal.local.stack.dev.portal);
  await stranger.goto('/usage');
  expect(await stranger.content()).not.toContain(requestId);
  await stranger.goto('/keys');
  const keys = await rowsOf(stranger, en.keys.title);
  expect(keys.map((key) => key[en.keys.name])).toEqual([en.signUp.firstKeyName]);
});
