/** The journey of a startup's developer: from the first page to a first request, its charge, and keys with limits. */
import type { Page } from 'playwright-core';
import { expect } from 'vitest';
import { LOCALE_NAMES } from '../../../worker/i18n/locale.ts';
import { eventsOf, eventually } from '../../e2e/local.ts';
import {
  amountNano,
  browserErrorsOf,
  count,
  fact,
  rowsOf,
  shownIn,
  tabTo,
  tile,
  tileNano,
} from '../fixtures.ts';
import { type Customer, call, generation, type Journey, openEmail, type Person, sum } from './journey.ts';

/** Free credit of an account whose owner has confirmed their address. */
const TRIAL = 5e9;

export async function developerJourney(journey: Journey): Promise<Customer> {
  const ada = journey.person('ada');
  const page = await journey.open();
  const faults = browserErrorsOf(page);
  await signUpByKeyboard(journey, page, ada);
  const { apiKey, requestId } = await sendFirstRequest(journey, page, ada);
  await checkUsage(journey, page, { apiKey, requestId });
  await recomputeCharge(journey, page, { apiKey, requestId });
  const { old, fresh } = await rotateKey(journey, page);
  await revokeKey(journey, page, fresh);
  // a revoked key stops working within ten seconds, in which the playground is used
  await Promise.all([
    eventually(async () => (await call(journey.portal, fresh, '/v1/key')).status === 401, 10_000),
    usePlayground(journey, page, apiKey),
  ]);
  expect((await call(journey.portal, old, '/v1/key')).status).toBe(200);
  await changeLanguage(journey, page);
  expect(faults).toEqual([]);
  await signOutAndIn(journey, page, ada);
  await page.context().close();
  return { ...ada, apiKey };
}

/** The same without JavaScript, as another startup, which sees nothing of the first. */
export async function developerJourneyWithoutScript(journey: Journey): Promise<void> {
  const page = await journey.open({ javaScriptEnabled: false });
  const { t } = journey;
  await page.goto('/');
  await page.locator('main').getByRole('link', { name: t.landing.call }).click();
  const bob = journey.person('bob');
  await page.getByLabel(t.signUp.name).fill(bob.name);
  await page.getByLabel(t.signUp.email).fill(bob.email);
  await page.getByLabel(t.signUp.password).fill(bob.password);
  await page.getByRole('button', { name: t.signUp.submit }).click();
  const first = await sendFirstRequest(journey, page, bob);
  await checkUsage(journey, page, first);
  await page.getByRole('link', { name: t.nav.keys, exact: true }).click();
  await page.waitForURL('**/keys');
  const keys = await rowsOf(page, t.keys.title);
  expect(keys.map((key) => key[t.keys.name])).toEqual([t.signUp.firstKeyName]);
  await page.context().close();
}

/** Signs up with the keyboard alone. */
async function signUpByKeyboard({ t }: Journey, page: Page, who: Person): Promise<void> {
  await page.goto('/');
  await tabTo(page, page.locator('main').getByRole('link', { name: t.landing.call }));
  await page.keyboard.press('Enter');
  await page.waitForURL('**/sign-up');
  for (const field of ['name', 'email', 'password'] as const) {
    await tabTo(page, page.getByLabel(t.signUp[field]));
    await page.keyboard.type(who[field]);
  }
  // no other field is required, and no card
  expect(await page.locator('main input').count()).toBe(3);
  await tabTo(page, page.getByRole('button', { name: t.signUp.submit }));
  await page.keyboard.press('Enter');
}

interface First {
  readonly apiKey: string;
  readonly requestId: string;
}

/**
 * Sends the request of the start page, which shows the key once. The free credit that pays for it waits until the address
 * is confirmed. The page notices the request's arrival within five seconds.
 */
async function sendFirstRequest(journey: Journey, page: Page, who: Person): Promise<First> {
  const { t, f, portal } = journey;
  await page.waitForURL('**/start');
  const curl = await shownIn(page.locator('[data-snippet=curl] code'));
  const [, url = '', apiKey = '', body = '{}'] =
    curl.match(/^curl (\S+) [\s\S]*Bearer (\S+)"[\s\S]*-d '([\s\S]*)'$/) ?? [];
  expect(await shownIn(page.locator('[data-secret]'))).toBe(apiKey);
  const tick = page.frameLocator('iframe');
  await tick.getByText(t.start.waiting).waitFor();

  const request = { ...JSON.parse(body), stream: true };
  const send = () => call(portal, apiKey, new URL(url).pathname, request);
  expect((await send()).status).toBe(402);
  await page.getByText(t.trial.unconfirmed(f.usd(TRIAL), who.email)).waitFor();
  await confirmAddress(journey, await page.context().newPage(), who);
  const answer = await send();
  expect(answer.headers.get('content-type')).toMatch(/^text\/event-stream/);
  const events = eventsOf(await answer.text());
  expect(events.at(-1)).toBe('[DONE]');
  expect(events.join()).toContain('"reasoning_content":"');

  await tick.getByText('✓').waitFor({ timeout: 5_000 });
  expect(await shownIn(page.locator('[data-secret]'))).toBe(apiKey);
  await page.reload();
  expect(await page.locator('[data-secret]').count()).toBe(0);
  expect(await page.content()).not.toContain(apiKey);
  return { apiKey, requestId: answer.headers.get('x-request-id')! };
}

/** Confirms the address in a tab beside the page that shows the key. */
async function confirmAddress(journey: Journey, tab: Page, { email }: Person): Promise<void> {
  const names = journey.t.people.verify;
  await openEmail(journey, tab, { to: email, subject: journey.t.emails.verify.title });
  await tab.locator('main a[href*="/verify-email"]').first().click();
  await tab.getByRole('button', { name: names.confirm }).click();
  await tab.getByRole('heading', { name: names.doneTitle }).waitFor();
  await tab.close();
}

/** Checks that the usage page counts this request and no other, with the tokens and the charge that the API gives. */
async function checkUsage({ t, portal }: Journey, page: Page, { apiKey, requestId }: First): Promise<void> {
  const { usage, charge_nano_usd: charge, ledger_entry } = await generation(portal, apiKey, requestId);
  await page.frameLocator('iframe').getByRole('link', { name: t.start.seeUsage }).click();
  await page.waitForURL('**/usage');
  const { kinds } = t.usage;
  const [hour, ...others] = await rowsOf(page, t.usage.tableTitle.hour);
  expect(others).toEqual([]);
  expect(hour).toMatchObject({ [t.usage.key]: t.signUp.firstKeyName, [t.usage.requests]: '1' });
  expect({
    cached: count(hour![kinds.cached]!),
    uncached: count(hour![kinds.uncached]!),
    reasoning: count(hour![kinds.reasoning]!),
    answer: count(hour![kinds.answer]!),
    charge: amountNano(hour![t.usage.chargeUsd]!),
  }).toEqual({
    cached: usage.cached_tokens,
    uncached: usage.prompt_tokens - usage.cached_tokens,
    reasoning: usage.reasoning_tokens,
    answer: usage.completion_tokens - usage.reasoning_tokens,
    charge,
  });
  expect(await tileNano(page, t.usage.charge)).toBe(charge);

  const [request, ...more] = await rowsOf(page, t.usage.recentTitle);
  expect(more).toEqual([]);
  expect(request![t.usage.request]).toBe(requestId);
  expect(amountNano(request![t.usage.chargeUsd]!)).toBe(charge);
  expect(Number(request![t.usage.entry])).toBe(ledger_entry);
  const arithmetic = await shownIn(page.locator(`#${requestId} + tr`));
  const [left = '', right = ''] = arithmetic.split(' = ');
  const products = [...left.matchAll(/([\d\s,]+) × ([\d\s,]+)/g)].map(([, a, b]) => count(a!) * count(b!));
  expect(products).toHaveLength(3);
  expect(sum(products)).toBe(charge);
  expect(count(right.replace(/\D+$/, ''))).toBe(charge);
}

/** Recomputes the charge from the lines of the request's page. */
async function recomputeCharge(
  { t, portal }: Journey,
  page: Page,
  { apiKey, requestId }: First,
): Promise<void> {
  const names = t.requests.one;
  const { usage, charge_nano_usd: charge } = await generation(portal, apiKey, requestId);
  await page.getByRole('link', { name: requestId }).click();
  await page.waitForURL(`**/requests/${requestId}`);
  const tokens = page.getByRole('region', { name: names.tokensTitle, exact: true });
  const shown = async (kind: keyof typeof names.kinds) =>
    count(await shownIn(fact(tokens, names.kinds[kind])));
  const lines = await rowsOf(page, names.sumTitle);
  const worked = lines.map((line) => {
    const [times = 0, each = 0] = line[names.timesEach]!.split('×').map(count);
    expect(count(line[`= ${names.amount}`]!)).toBe(times * each);
    return { line: line[names.line], times, each };
  });
  expect(worked.map(({ line, times }) => [line, times])).toEqual([
    [names.lines.cached, await shown('cached')],
    [names.lines.uncached, await shown('uncached')],
    [names.lines.output, (await shown('reasoning')) + (await shown('answer'))],
  ]);
  expect(sum(worked.map(({ times }) => times))).toBe(usage.prompt_tokens + usage.completion_tokens);
  expect(sum(worked.map(({ times, each }) => times * each))).toBe(charge);
  expect(await tileNano(page, names.charged)).toBe(charge);
}

/** Creates a key with a cap and rotates it, so that both keys work for an hour. */
async function rotateKey(journey: Journey, page: Page): Promise<{ old: string; fresh: string }> {
  const { t, f, portal } = journey;
  const works = async (key: string) => expect((await call(portal, key, '/v1/key')).status).toBe(200);
  await page.getByRole('link', { name: t.nav.keys, exact: true }).click();
  await page.waitForURL('**/keys');
  await page.getByLabel(t.keys.name).fill('chat backend');
  await page.getByLabel(t.keys.cap, { exact: true }).fill(journey.language === 'fr' ? '12,50' : '12.50');
  await page.getByLabel(t.keys.capPeriod).selectOption('day');
  await page.getByRole('button', { name: t.keys.submit }).click();
  const old = await shownIn(page.locator('[data-secret]'));
  await works(old);
  const capped = `${f.usd(0)} / ${f.usd(12.5e9)} (${t.keys.periods.day})`;
  expect((await rowOf(journey, page, old))[t.keys.spent]).toBe(capped);
  await page.reload();
  expect(await page.content()).not.toContain(old);

  await page.getByRole('link', { name: `${t.keys.rotate}: chat backend` }).click();
  await page.getByLabel(t.keys.overlap).selectOption('hour');
  await page.getByRole('button', { name: t.keys.rotateSubmit }).click();
  await page.getByText(t.keys.rotated).waitFor();
  const fresh = await shownIn(page.locator('[data-secret]'));
  expect(fresh).not.toBe(old);
  for (const key of [old, fresh]) {
    await works(key);
    expect(await rowOf(journey, page, key)).toMatchObject({
      [t.keys.name]: 'chat backend',
      [t.keys.state]: t.keys.states.active,
      [t.keys.spent]: capped,
    });
  }
  return { old, fresh };
}

async function revokeKey(journey: Journey, page: Page, key: string): Promise<void> {
  const { t } = journey;
  const row = page.getByRole('row').filter({ hasText: key.slice(-4) });
  await row.getByRole('link', { name: `${t.keys.revoke}: chat backend` }).click();
  await page.getByRole('button', { name: t.keys.revokeSubmit }).click();
  await page.getByText(t.keys.revoked, { exact: true }).waitFor();
  expect((await rowOf(journey, page, key))[t.keys.state]).toBe(t.keys.states.revoked);
}

/** The key's row, found by its last characters. */
async function rowOf({ t }: Journey, page: Page, key: string): Promise<Record<string, string>> {
  const rows = await rowsOf(page, t.keys.title);
  return rows.find((row) => row[t.keys.key]!.endsWith(key.slice(-4)))!;
}

/** Asks in the playground: the reasoning is visible, and the cost equals the API's. */
async function usePlayground({ t, portal }: Journey, page: Page, apiKey: string): Promise<void> {
  const { island } = t.playground;
  await page.getByRole('link', { name: t.nav.playground, exact: true }).click();
  await page.getByLabel(island.message).fill('Why? [[reasoning=40 answer=20]]');
  await page.getByRole('button', { name: island.send }).click();
  const answer = page.getByRole('log').locator('article').last();
  const cost = amountNano(await shownIn(answer.locator('[data-settled=true]')));
  expect(await answer.locator('[data-part=reasoning]').isVisible()).toBe(true);
  expect(await answer.locator('[data-part=answer]').isVisible()).toBe(true);
  const link = answer.getByRole('link', { name: island.request });
  const id = (await link.getAttribute('href'))!.replace('/requests/', '');
  const { charge_nano_usd, usage } = await generation(portal, apiKey, id);
  expect([cost, usage.reasoning_tokens]).toEqual([charge_nano_usd, 40]);
}

/** Switches to the other language and back on the same page. */
async function changeLanguage({ t, f, language }: Journey, page: Page): Promise<void> {
  await page.goto('/usage?period=7d');
  const charged = await shownIn(tile(page, t.usage.charge));
  expect(charged.endsWith('$')).toBe(f.usd(1e9).endsWith('$'));
  for (const each of [language === 'en' ? 'fr' : 'en', language] as const) {
    await page.getByRole('button', { name: LOCALE_NAMES[each] }).click();
    await page.locator(`html[lang=${each}]`).waitFor();
    expect(page.url()).toContain('/usage?period=7d');
  }
  await page.getByRole('heading', { name: t.usage.title, exact: true }).waitFor();
}

/** After signing out, every page leads to the sign-in, which leads back to the wanted page. */
async function signOutAndIn({ t }: Journey, page: Page, who: Person): Promise<void> {
  await page.getByRole('button', { name: t.nav.signOut }).click();
  await page.locator('header').getByRole('link', { name: t.nav.signIn }).waitFor();
  for (const path of ['/start', '/keys', '/usage', '/requests', '/billing']) {
    await page.goto(path);
    expect(new URL(page.url()).pathname, path).toBe('/sign-in');
  }
  const main = page.getByRole('main');
  await page.getByLabel(t.signUp.email).fill(who.email);
  await page.getByLabel(t.signUp.password).fill('not the password');
  await main.getByRole('button', { name: t.signIn.submit }).click();
  await page.getByRole('alert').getByText(t.signIn.wrong).waitFor();
  await page.getByLabel(t.signUp.password).fill(who.password);
  await main.getByRole('button', { name: t.signIn.submit }).click();
  await page.waitForURL('**/billing');
}
