/** The journey of a billing member, whom the developer invites: full rights over payments, none over keys. */
import { readFileSync } from 'node:fs';
import type { Page } from 'playwright-core';
import { expect } from 'vitest';
import { type BalanceInfo, eventually, nano } from '../../e2e/local.ts';
import { drawnIn } from '../../pdf-text.ts';
import { amountNano, browserErrorsOf, rowsOf, tileNano } from '../fixtures.ts';
import { type Customer, call, type Journey, openEmail, type Person, sum } from './journey.ts';

const DETAILS = {
  legalName: 'Analytique SARL',
  street: '12 rue des Machines',
  city: '75002 Paris',
  taxId: 'FR40303265045',
};
const PURCHASE_ORDER = 'PO-2026-0042';
/** So large that both languages write it differently. */
const TOP_UP = 1_250.5e9;

export async function payerJourney(journey: Journey, customer: Customer): Promise<void> {
  const carla = journey.person('carla');
  const page = await journey.open();
  const faults = browserErrorsOf(page);
  await inviteMember(journey, customer, carla);
  await acceptInvitation(journey, page, carla);
  // up to here only permitted pages were opened, so the browser has reported no error
  await saveBillingDetails(journey, page);
  await topUp(journey, page);
  await openInvoice(journey, page);
  await readReceiptEmail(journey, page, carla);
  await sumUsage(journey, page);
  await sumLedger(journey, page, customer);
  expect(faults).toEqual([]);
  await checkKeysAreReadOnly(journey, page, customer);
  await page.context().close();
}

async function inviteMember(journey: Journey, owner: Customer, guest: Person): Promise<void> {
  const { t } = journey;
  const page = await journey.openAs(owner);
  await page.goto('/team');
  const form = page.locator('form[action="/team"]');
  await form.getByLabel(t.team.email).fill(guest.email);
  await form.getByLabel(t.team.role).selectOption('billing');
  await form.getByRole('button', { name: t.team.invite }).click();
  await page.getByText(t.team.invited).waitFor();
  await page.context().close();
}

async function acceptInvitation(journey: Journey, page: Page, who: Person): Promise<void> {
  const { t } = journey;
  await openEmail(journey, page, { to: who.email, subject: t.emails.invitation.title });
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
  // the member joined the developer's account and has no other
  await page.goto('/team');
  const members = await rowsOf(page, t.team.title);
  expect(members.map((row) => row[t.team.role])).toEqual([t.team.roles.owner, t.team.roles.billing]);
}

async function saveBillingDetails({ t }: Journey, page: Page): Promise<void> {
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

/** Tops up: a payment is credited once, however often its form is sent; a declined payment is not credited. */
async function topUp(journey: Journey, page: Page): Promise<void> {
  const { t, f, portal } = journey;
  const before = await tileNano(page, t.billing.available);
  await page.getByLabel(t.billing.other, { exact: true }).check();
  await page.locator('#otherUsd').fill('1250.50');
  await page.getByLabel(t.billing.purchaseOrder).fill(PURCHASE_ORDER);
  await page.getByRole('button', { name: t.billing.submit }).click();
  await page.waitForURL('**/sandbox/checkout/order_*');
  const checkout = page.url();
  await page.locator('button[value=paid]').click();
  await page.getByText(t.billing.paidNotice(f.usd(TOP_UP))).waitFor();
  const expectCreditedOnce = async () => {
    const ledger = await rowsOf(page, t.billing.ledgerTitle);
    const topUps = ledger.filter((entry) => entry[t.billing.kind] === t.billing.kinds.top_up);
    expect(topUps.map((entry) => amountNano(entry[t.billing.paidUsd]!))).toEqual([TOP_UP]);
    expect(await tileNano(page, t.billing.paid)).toBe(TOP_UP);
    expect(await tileNano(page, t.billing.available)).toBe(before + TOP_UP);
  };
  await expectCreditedOnce();
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
  await expectCreditedOnce();
}

/** Opens the invoice of the only payment: a PDF with number, company, tax id and purchase order. */
async function openInvoice({ t, f, language }: Journey, page: Page): Promise<void> {
  const payments = page.getByRole('group', { name: t.billing.paymentsTitle });
  const link = payments.getByRole('link').filter({ hasText: 'TG-' });
  await eventually(async () => {
    await page.goto('/billing');
    return (await link.count()) > 0;
  });
  const [number, ...others] = await link.allInnerTexts();
  expect(others).toEqual([]);
  expect(number).toMatch(/^TG-\d{6}$/);
  // by request, because a headless Chromium does not show PDFs
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
  expect(drawn.map(normalizeSpaces)).toContain(normalizeSpaces(f.usd(TOP_UP)));
}

/** Replaces special spaces, which the PDF's encoding lacks. */
function normalizeSpaces(text: string): string {
  return text.replace(/\s/g, ' ');
}

async function readReceiptEmail(journey: Journey, page: Page, who: Person): Promise<void> {
  const { t, f } = journey;
  const subject = t.emails.receipt.title(f.usd(TOP_UP));
  await openEmail(journey, page, { to: who.email, subject });
  await page.getByText(t.emails.receipt.small).waitFor();
  expect(await page.locator('main a[href*="/billing/invoices/"]').getAttribute('href')).toMatch(/TG-\d{6}$/);
}

/** Checks that the CSV file sums up to the page's charge, to the nano-USD. */
async function sumUsage({ t }: Journey, page: Page): Promise<void> {
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

/** Checks that each entry's balance is the sum so far, and that the last equals the balance of the tiles and the API. */
async function sumLedger({ t, portal }: Journey, page: Page, { apiKey }: Customer): Promise<void> {
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

/** Checks that a billing member sees keys by name and last characters, and cannot create, rotate or revoke one. */
async function checkKeysAreReadOnly({ t, portal }: Journey, page: Page, { apiKey }: Customer): Promise<void> {
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
