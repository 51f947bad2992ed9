/** Invoices: one a payment, numbered without a gap, printed as they were issued, and opened by their account alone. */
import { describe, expect, it } from 'vitest';
import { isPrintable, printable } from '../../../worker/domain/invoice.ts';
import type { Env } from '../../../worker/env.ts';
import { MESSAGES } from '../../../worker/i18n/locale.ts';
import { COUNTRIES } from '../../../worker/portal/billing/billing-details.tsx';
import { drawnIn } from '../../pdf-text.ts';
import { TaskHarness } from '../notifications/fixtures.ts';
import { Browser, bindings } from '../portal/browser.ts';
import { deliver, newOrder, signedEvent } from './fixtures.ts';

const DETAILS = {
  legalName: 'Société Générale d’Été & Fils',
  street: '1 rue de l’Œuvre',
  city: '75001 Paris',
  country: 'FR',
  taxId: 'FR 12 345678901',
};

async function customer(language = 'en') {
  const browser = new Browser(language);
  const { email } = await browser.signUpConfirmed();
  const sql = 'SELECT account_id FROM member JOIN person ON person.id = person_id WHERE email = ?';
  const accountId = (await bindings.DB.prepare(sql).bind(email).first<string>('account_id'))!;
  return { browser, email, accountId };
}

async function payOrder(accountId: string, using = bindings): Promise<string> {
  const orderId = await newOrder(accountId);
  expect(await deliver(await signedEvent({ orderId }), { using })).toEqual([200, 'credited']);
  return orderId;
}

const pathsOn = (page: string) => [...page.matchAll(/\/billing\/invoices\/TG-\d{6}/g)].map(([path]) => path);

const textIn = (pdf: Buffer) => drawnIn(pdf).join('\n');

async function pdfOf(browser: Browser, path: string) {
  const answer = await browser.get(path);
  expect([answer.status, answer.headers.get('content-type')]).toEqual([200, 'application/pdf']);
  return Buffer.from(await answer.arrayBuffer());
}

describe('an invoice', () => {
  it('is issued once with its payment, and shows the billing details, tax id and purchase order', async () => {
    const { browser } = await customer();
    expect((await browser.post('/billing/details', DETAILS)).headers.get('location')).toContain(
      'details=saved',
    );
    const begun = await browser.post('/billing', { amount: '20', otherUsd: '', purchaseOrder: 'PO 4711' });
    const orderId = begun.headers.get('location')!.split('/').at(-1)!;
    const event = await signedEvent({ orderId });
    for (const result of ['credited', 'duplicate']) expect(await deliver(event)).toEqual([200, result]);
    const paths = pathsOn(await (await browser.get('/billing')).text());
    expect(paths).toHaveLength(1);
    const pdf = await pdfOf(browser, paths[0]!);
    const text = textIn(pdf);
    for (const each of [
      'Invoice',
      'PO 4711',
      DETAILS.legalName,
      DETAILS.street,
      DETAILS.city,
      'France',
      DETAILS.taxId,
      '$20.00',
      orderId,
    ])
      expect(text).toContain(each);
    // An issued invoice does not change afterwards.
    await browser.post('/billing/details', { ...DETAILS, legalName: 'Another' });
    expect(Buffer.compare(await pdfOf(browser, paths[0]!), pdf)).toBe(0);
    browser.cookies.set('__Host-language', 'fr');
    expect(textIn(await pdfOf(browser, paths[0]!))).toContain('Facture');
  });

  it('formats its amount in French, with a space between the thousands', async () => {
    const { browser } = await customer();
    const begun = await browser.post('/billing', { amount: 'other', otherUsd: '1250.50' });
    const orderId = begun.headers.get('location')!.split('/').at(-1)!;
    await deliver(await signedEvent({ orderId, amountCents: 125_050 }));
    browser.cookies.set('__Host-language', 'fr');
    const [path] = pathsOn(await (await browser.get('/billing')).text());
    const text = textIn(await pdfOf(browser, path!));
    expect(text).toContain('1\u00a0250,50\u00a0$');
    expect(text).not.toContain('?');
  });

  it('has the next number without a gap when several accounts pay at the same time', async () => {
    const accounts = await Promise.all([1, 2, 3].map(() => customer()));
    await Promise.all(accounts.flatMap(({ accountId }) => [payOrder(accountId), payOrder(accountId)]));
    const { results } = await bindings.DB.prepare('SELECT number FROM invoice ORDER BY number').all<{
      number: number;
    }>();
    expect(results.map(({ number }) => number)).toEqual(results.map((_, index) => index + 1));
  });

  it('can be opened by its own account only', async () => {
    const { browser, accountId } = await customer();
    await payOrder(accountId);
    const [path] = pathsOn(await (await browser.get('/billing')).text());
    const stranger = await customer();
    expect((await stranger.browser.get(path!)).status).toBe(404);
    for (const wrong of ['TG-999999', 'TG-1', 'TG-00000x', '1'])
      expect((await browser.get(`/billing/invoices/${wrong}`)).status).toBe(404);
  });

  it('has no buyer where the account has no billing details, and is not issued for an unpaid order', async () => {
    const { browser, accountId } = await customer();
    await newOrder(accountId);
    expect(pathsOn(await (await browser.get('/billing')).text())).toEqual([]);
    await payOrder(accountId);
    const [path] = pathsOn(await (await browser.get('/billing')).text());
    expect(textIn(await pdfOf(browser, path!))).not.toContain(MESSAGES.en.billing.invoicePdf.taxId);
  });

  it('is sent once, however many events report the payment', async () => {
    const { accountId, email } = await customer();
    const desk = new TaskHarness();
    const orderId = await newOrder(accountId);
    const events = await Promise.all(Array.from({ length: 10 }, () => signedEvent({ orderId })));
    const together = events.slice(0, 5).map((event) => deliver(event, { using: desk.env }));
    await Promise.all(together);
    for (const event of events) await deliver(event, { using: desk.env });
    await desk.drain();
    expect(desk.emails.filter(({ to, subject }) => to === email && subject.includes('$20.00'))).toHaveLength(
      1,
    );
  });

  it('is sent by the next delivery when the queue was down', async () => {
    const { accountId, email } = await customer();
    const desk = new TaskHarness();
    const orderId = await newOrder(accountId);
    const event = await signedEvent({ orderId });
    const TASKS = { send: () => Promise.reject(new Error('the queue is down')) } as unknown as Queue;
    const down = { ...desk.env, TASKS } as Env;
    expect((await deliver(event, { using: down }))[0]).toBe(500);
    await deliver(event, { using: desk.env });
    await deliver(event, { using: desk.env });
    await desk.drain();
    expect(desk.emails.filter(({ to, subject }) => to === email && subject.includes('$20.00'))).toHaveLength(
      1,
    );
  });

  it('is linked in the receipt e-mail', async () => {
    const { accountId, email } = await customer();
    const desk = new TaskHarness();
    await payOrder(accountId, desk.env);
    await desk.drain();
    const receipt = desk.emails.find(({ to, subject }) => to === email && subject.includes('$20.00'))!;
    expect(receipt.text).toMatch(/https:\/\/tollgate\.test\/billing\/invoices\/TG-\d{6}/);
  });
});

describe('billing details', () => {
  it.each([
    ['legalName', '', 'required'],
    ['legalName', '株式会社', 'unprintable_letters'],
    ['street', 'Łódź'.repeat(2), 'unprintable_letters'],
    ['country', 'XX', 'choice'],
    ['taxId', 'ИНН', 'unprintable_letters'],
  ] as const)('with %s %j are refused, and kept', async (field, typed, fault) => {
    const { browser } = await customer();
    const refused = await browser.post('/billing/details', { ...DETAILS, [field]: typed });
    expect(refused.status).toBe(422);
    const page = await refused.text();
    expect(page).toContain(field === 'country' ? 'name="country"' : MESSAGES.en.faults[fault]);
    expect(page).toContain('value="75001 Paris"');
  });

  it('list every country once', () => {
    expect(COUNTRIES).toHaveLength(249);
    expect(new Set(COUNTRIES).size).toBe(249);
  });
});

it('letters outside the font are printed as question marks', () => {
  expect(printable('Zażółć 株 €')).toBe('Za?ó?? ? €');
  expect(isPrintable('l’Œuvre – 5 €')).toBe(true);
});
