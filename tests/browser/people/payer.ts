/** The one who pays: invited by the developer, with rights over money and none over keys. */
import { readFileSync } from 'node:fs';
import type { Page } from 'playwright-core';
import { expect } from 'vitest';
import { type BalanceInfo, eventually, nano } from '../../e2e/local.ts';
import { drawnIn } from '../../pdf-text.ts';
import { amountNano, faultsOf, rowsOf, tileNano } from '../fixtures.ts';
import { type Customer, call, type Person, type Story, sum } from './story.ts';

const DETAILS = {
  legalName: 'Analytique SARL',
  street: '12 rue des Machines',
  city: '75002 Paris',
  taxId: 'FR40303265045',
};
const PURCHASE_ORDER = 'PO-2026-0042';
/** enough that the languages write it differently */
const TOP_UP = 1_250.5e9;

export async function pays(story: Story, customer: Customer): Promise<void> {
  const carla = story.person('carla');
  const page = await story.open();
  const faults = faultsOf(page);
  await invites(story, customer, carla);
  await joins(story, page, carla);
  // they open what they may, so that the browser has nothing to complain of until here
  await namesTheCompany(story, page);
  await topsUp(story, page);
  await openInvoice(story, page);
  await readsReceipt(story, page, carla);
  await sumsUsage(story, page);
  await sumsLedger(story, page, customer);
  expect(faults).toEqual([]);
  await findsNoKey(story, page, customer);
  await page.context().close();
}

async function invites(story: Story, owner: Customer, guest: Person): Promise<void> {
  const { t } = story;
  const page = await story.openAs(owner);
  await page.goto('/team');
  const form = page.locator('form[action="/team"]');
  await form.getByLabel(t.team.email).fill(guest.email);
  await form.getByLabel(t.team.role).selectOption('billing');
  await form.getByRole('button', { name: t.team.invite }).click();
  await page.getByText(t.team.invited).waitFor();
  await page.context().close();
}

async function joins(story: Story, page: Page, who: Person): Promise<void> {
  const { t } = story;
  await openLetter(story, page, { to: who.email, subject: t.emails.invitation.title });
  await page.locator('a[href*="/invitation/"]').click();
  await page.getByText(t.team.signInFirst(who.email)).waitFor();
  await page.getByRole('main').getByRole('link', { name: t.signUp.title }).click();
  await page.getByLabel(t.signUp.name).fill(who.name);
  await page.getByLabel(t.signUp.email).fill(who.email);
  await page.getByLabel(t.signUp.password).fill(who.password);
  await page.getByRole('button', { name: t.signUp.submit }).click();
  await page.getByText(t.team.rights.billing).waitFor();
  await page.getByRole('button', { name: t.team.accept }).click();
  await page.waitForURL('**/start');
  // an account of the developer's, and none beside it
  await page.goto('/team');
  const members = await rowsOf(page, t.team.title);
  expect(members.map((row) => row[t.team.role])).toEqual([t.team.roles.owner, t.team.roles.billing]);
}

/** The newest letter to somebody with that title, in the local mailbox. */
async function openLetter(
  { t }: Story,
  page: Page,
  { to, subject }: { to: string; subject: string },
): Promise<void> {
  const letter = page
    .getByRole('row')
    .filter({ hasText: to })
    .getByRole('link', { name: `Tollgate: ${subject}`, exact: true });
  await eventually(async () => {
    await page.goto('/mailbox');
    return (await letter.count()) > 0;
  });
  await letter.first().click();
  await page.getByRole('heading', { name: t.people.mailbox.asText }).waitFor();
}

async function namesTheCompany({ t }: Story, page: Page): Promise<void> {
  const names = t.billing.details;
  await page.getByRole('link', { name: t.nav.billing, exact: true }).click();
  await page.waitForURL('**/billing');
  for (const field of ['legalName', 'street', 'city', 'taxId'] as const)
    await page.getByLabel(names[field], { exact: true }).fill(DETAILS[field]);
  await page.getByLabel(names.country).selectOption('FR');
  await page.getByRole('button', { name: names.save }).click();
  await page.getByText(names.saved).waitFor();
  for (const field of ['legalName', 'street', 'city', 'taxId'] as const)
    expect(await page.getByLabel(names[field], { exact: true }).inputValue()).toBe(DETAILS[field]);
}

/** What is paid is there, once however often its pages are sent again; a payment that is declined is none. */
async function topsUp(story: Story, page: Page): Promise<void> {
  const { t, f, portal } = story;
  const before = await tileNano(page, t.billing.available);
  await page.getByLabel(t.billing.other, { exact: true }).check();
  await page.locator('#otherUsd').fill('1250.50');
  await page.getByLabel(t.billing.purchaseOrder).fill(PURCHASE_ORDER);
  await page.getByRole('button', { name: t.billing.submit }).click();
  await page.waitForURL('**/sandbox/checkout/order_*');
  const checkout = page.url();
  await page.locator('button[value=paid]').click();
  await page.getByText(t.billing.paidNotice(f.usd(TOP_UP))).waitFor();
  const isThereOnce = async () => {
    const ledger = await rowsOf(page, t.billing.ledgerTitle);
    const topUps = ledger.filter((entry) => entry[t.billing.kind] === t.billing.kinds.top_up);
    expect(topUps.map((entry) => amountNano(entry[t.billing.paidUsd]!))).toEqual([TOP_UP]);
    expect(await tileNano(page, t.billing.paid)).toBe(TOP_UP);
    expect(await tileNano(page, t.billing.available)).toBe(before + TOP_UP);
  };
  await isThereOnce();
  await page.goto(checkout);
  expect(await page.getByRole('button').count()).toBe(0);
  const again = await page.request.post(checkout, {
    form: { decision: 'paid' },
    headers: { origin: portal.origin },
  });
  expect(again.ok()).toBe(true);

  await page.goto('/billing');
  await page.getByRole('radio', { name: f.usd(20e9) }).check();
  await page.getByRole('button', { name: t.billing.submit }).click();
  await page.locator('button[value=declined]').click();
  await page.getByText(t.billing.declinedNotice).waitFor();
  await isThereOnce();
}

/** The only one that was paid: a PDF with a number, the company, its tax id and its purchase order. */
async function openInvoice({ t, f, language }: Story, page: Page): Promise<void> {
  const payments = page.getByRole('group', { name: t.billing.paymentsTitle });
  const link = payments.getByRole('link').filter({ hasText: 'TG-' });
  await eventually(async () => {
    await page.goto('/billing');
    return (await link.count()) > 0;
  });
  const [number, ...others] = await link.allInnerTexts();
  expect(others).toEqual([]);
  expect(number).toMatch(/^TG-\d{6}$/);
  // as the browser would ask for it, which shows no PDF here
  const headers = { 'accept-language': language };
  const answer = await page.request.get((await link.getAttribute('href'))!, { headers });
  expect(answer.headers()).toMatchObject({
    'content-type': 'application/pdf',
    'content-disposition': `inline; filename="${number}.pdf"`,
  });
  const pdf = await answer.body();
  expect(pdf.subarray(0, 5).toString('latin1')).toBe('%PDF-');
  const drawn = drawnIn(pdf);
  for (const text of [
    t.billing.invoicePdf.title,
    number!,
    PURCHASE_ORDER,
    ...Object.values(DETAILS).slice(0, 3),
  ])
    expect(drawn).toContain(text);
  expect(drawn).toContain(`${t.billing.invoicePdf.taxId} ${DETAILS.taxId}`);
  expect(drawn.map(evenly)).toContain(evenly(f.usd(TOP_UP)));
}

/** Print knows fewer kinds of spaces. */
function evenly(text: string): string {
  return text.replace(/\s/g, ' ');
}

async function readsReceipt(story: Story, page: Page, who: Person): Promise<void> {
  const { t, f } = story;
  const subject = t.emails.receipt.title(f.usd(TOP_UP));
  await openLetter(story, page, { to: who.email, subject });
  await page.getByText(t.emails.receipt.small).waitFor();
  expect(await page.locator('main a[href*="/billing/invoices/"]').getAttribute('href')).toMatch(/TG-\d{6}$/);
}

/** The file's money is the page's, to the nano-USD. */
async function sumsUsage({ t }: Story, page: Page): Promise<void> {
  await page.getByRole('link', { name: t.nav.usage, exact: true }).click();
  await page.waitForURL('**/usage');
  const charged = await tileNano(page, t.usage.charge);
  const [download] = await Promise.all([
    page.waitForEvent('download'),
    page.getByRole('link', { name: t.usage.csv }).click(),
  ]);
  const [head, ...lines] = readFileSync(await download.path(), 'utf8')
    .trim()
    .split(/\r?\n/);
  const column = (name: string) => {
    const at = head!.split(',').indexOf(name);
    return lines.map((line) => line.split(',')[at]!);
  };
  expect(sum(column('charge_usd').map(amountNano))).toBe(charged);
  expect(sum(column('charge_nano_usd').map(Number))).toBe(charged);
  expect(charged).toBeGreaterThan(0);
}

/** Every entry is the sum of those before it, and the last of them is the balance, in the tiles and by the API. */
async function sumsLedger({ t, portal }: Story, page: Page, { apiKey }: Customer): Promise<void> {
  await page.goto('/billing');
  const ledger = (await rowsOf(page, t.billing.ledgerTitle)).toReversed();
  let balance = 0;
  for (const entry of ledger) {
    balance += amountNano(entry[t.billing.grantedUsd]!) + amountNano(entry[t.billing.paidUsd]!);
    expect(amountNano(entry[t.billing.balance]!)).toBe(balance);
  }
  expect(ledger.map((entry) => entry[t.billing.kind])).toContain(t.billing.kinds.charge);
  expect(await tileNano(page, t.billing.available)).toBe(balance);
  const answer = await call(portal, apiKey, '/user/balance');
  const [api] = ((await answer.json()) as { balance_infos: BalanceInfo[] }).balance_infos;
  expect(nano(api!.total_balance)).toBe(balance);
  expect(await tileNano(page, t.billing.granted)).toBe(nano(api!.granted_balance));
  expect(await tileNano(page, t.billing.paid)).toBe(nano(api!.topped_up_balance));
}

/** Keys are seen by name and last letters, and cannot be made, rotated or revoked. */
async function findsNoKey({ t, portal }: Story, page: Page, { apiKey }: Customer): Promise<void> {
  await page.goto('/keys');
  const keys = await rowsOf(page, t.keys.title);
  expect(keys.map((key) => key[t.keys.name])).toContain(t.signUp.firstKeyName);
  expect(await page.content()).not.toContain(apiKey);
  expect(await page.locator('form[action="/keys"], a[href*="/rotate"], a[href*="/revoke"]').count()).toBe(0);
  const made = await page.request.post('/keys', {
    form: { name: 'mine', capPeriod: 'month', requestsPerMinute: '1', concurrency: '1' },
    headers: { origin: portal.origin },
  });
  expect(made.status()).toBe(403);
  await page.goto('/keys');
  expect(await rowsOf(page, t.keys.title)).toHaveLength(keys.length);
}
