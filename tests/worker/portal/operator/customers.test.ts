/** The operator's pages of customers: accounts with problems, one account in full, and grants and suspensions. */
import { describe, expect, it } from 'vitest';
import { database } from '../../../../worker/db/client.ts';
import { createKey } from '../../../../worker/db/keys.ts';
import { newId } from '../../../../worker/domain/ids.ts';
import { nanoUsd, usd } from '../../../../worker/domain/money.ts';
import { config } from '../../../../worker/env.ts';
import { MESSAGES } from '../../../../worker/i18n/locale.ts';
import { pepperKey } from '../../../../worker/tokens/pepper.ts';
import { auditOf, env, newAccount } from '../../fleet/fixtures.ts';
import { Browser } from '../browser.ts';
import { operatorBrowser, textOf } from './console.ts';

const PATH = '/operator/accounts';
const names = MESSAGES.en.customers;
const d1 = (text: string, ...values: unknown[]) =>
  env.DB.prepare(text)
    .bind(...values)
    .run();

/** A person who has signed up, with their account. */
async function newCustomer(): Promise<{ browser: Browser; accountId: string; email: string }> {
  const browser = new Browser();
  const { email } = await browser.signUpConfirmed();
  const row = await env.DB.prepare(
    'select account_id from member join person on person.id = member.person_id where email = ?',
  )
    .bind(email)
    .first<{ account_id: string }>();
  return { browser, accountId: row!.account_id, email };
}

async function failedWebhook(accountId: string, { ageMs = 0 } = {}): Promise<void> {
  const [notice, delivery, endpoint] = [
    newId('note', Date.now()),
    newId('dlv', Date.now() - ageMs),
    newId('hook', Date.now()),
  ];
  await d1(
    "INSERT INTO webhook_endpoint (id, account_id, url, created_at_ms) VALUES (?, ?, 'https://hooks.example/in', 0)",
    endpoint,
    accountId,
  );
  await d1('INSERT INTO notice VALUES (?, ?, 0, \'test\', \'{"kind":"test"}\')', notice, accountId);
  await d1(
    "INSERT INTO notice_delivery VALUES (?, ?, ?, 'webhook', ?, 'failed', 9, 0, 500, 'status', NULL)",
    delivery,
    notice,
    accountId,
    endpoint,
  );
}

function finding(accountId: string) {
  return d1(
    'INSERT INTO drift VALUES (?, \'\', \'price\', ?, 1, \'{"priceId":"p/1","charged":5,"recomputed":6}\', NULL)',
    newId('req', Date.now()),
    accountId,
  );
}

/** The section of a page under a heading. */
function sectionOf(html: string, id: string): string {
  return new RegExp(`aria-labelledby="${id}".*?</section>`, 's').exec(html)?.[0] ?? '';
}

async function grantIdOf(browser: Browser, accountId: string): Promise<string> {
  const html = await (await browser.get(`${PATH}/${accountId}`)).text();
  return /name="grantId" value="([^"]+)"/.exec(html)![1]!;
}

describe('the customers', () => {
  it('with problems come first, with their problems; the newest follow, page by page', async () => {
    const console = await operatorBrowser();
    const [found, failed, old, healthy] = [
      await newAccount(),
      await newAccount(),
      await newAccount(),
      await newAccount(),
    ];
    await finding(found);
    await finding(found);
    await failedWebhook(failed);
    await failedWebhook(old, { ageMs: 8 * 86_400_000 });
    const html = await (await console.get(PATH)).text();
    const troubled = sectionOf(html, 'troubled');
    expect(troubled).toContain(found);
    expect(troubled).toContain(names.findings('2'));
    expect(troubled.indexOf(failed)).toBeGreaterThan(troubled.indexOf(found));
    expect(troubled).toContain(names.failedWebhooks('1'));
    for (const id of [old, healthy]) expect(troubled).not.toContain(id);
    expect(sectionOf(html, 'newest')).toContain(healthy);

    for (let i = 0; i < 20; i++) await newAccount();
    const first = await (await console.get(PATH)).text();
    expect(sectionOf(first, 'newest')).not.toContain(found);
    expect(first).toContain(`href="${PATH}?page=1"`);
    const second = await (await console.get(`${PATH}?page=1`)).text();
    expect(sectionOf(second, 'newest')).toContain(found);
    expect(second).toContain(`href="${PATH}?page=0"`);
  });

  it('are shown in full: credit, spend, people, keys, payments, findings, failed webhooks', async () => {
    const console = await operatorBrowser();
    const { accountId, email } = await newCustomer();
    const db = database(env);
    const nowMs = Date.now();
    const { key } = await createKey(db, await pepperKey(config(env)), {
      accountId,
      name: 'chat backend',
      nowMs,
    });
    const hourMs = nowMs - (nowMs % 3_600_000);
    for (const [ageHours, charge] of [
      [0, usd(1)],
      [23, usd(2)],
      [24, usd(4)],
      [24 * 7, usd(8)],
    ] as const)
      await d1(
        "INSERT INTO usage_hour VALUES (?, ?, 'k', 'm', 1, 0, 0, 0, 0, ?, 0)",
        accountId,
        hourMs - ageHours * 3_600_000,
        charge,
      );
    await d1(
      "INSERT INTO payment_order (id, account_id, provider, amount_nano_usd, currency, state, created_at_ms) VALUES ('order_x', ?, 'sandbox', ?, 'usd', 'paid', 1)",
      accountId,
      usd(20),
    );
    await finding(accountId);
    await failedWebhook(accountId);
    await env.WALLET.getByName(accountId).topUp({ orderId: 'order_y', amountNanoUsd: nanoUsd(usd(3)) });
    const response = await console.get(`${PATH}/${accountId}`);
    const html = await response.clone().text();
    const text = await textOf(response);
    for (const shown of [
      `${names.granted} $5.00`,
      `${names.paid} $3.00`,
      `${names.spendDay} $3.00`,
      `${names.spendWeek} $7.00`,
      names.uncredited('1'),
      names.uncorrected('0'),
      'chat backend',
      `sk-tg-…${key.slice(-4)}`,
      'order_x',
      'Charged 5 nano-USD',
      'https://hooks.example/in',
      `500: ${MESSAGES.en.alerts.faults.status}`,
      names.roles.owner!,
    ])
      expect(text).toContain(shown);
    expect(sectionOf(html, 'team')).toContain(email);
    expect(html).not.toContain(key);
    expect(html).not.toMatch(/<script|\sstyle=|undefined/);
    expect(await textOf((await operatorBrowser('fr')).get(`${PATH}/${accountId}`))).toContain(
      MESSAGES.fr.customers.checkTitle,
    );
  });

  it('exist for operators only, by any route and method', async () => {
    const { browser, accountId, email } = await newCustomer();
    const fields = {
      confirmState: email,
      confirmGrant: email,
      amount: '5',
      note: 'x',
      grantId: crypto.randomUUID(),
    };
    for (const visitor of [browser, new Browser()]) {
      for (const path of [PATH, `${PATH}?page=1`, `${PATH}/${accountId}`])
        expect((await visitor.get(path)).status).toBe(404);
      for (const verb of ['', '/grants', '/suspend', '/resume'])
        expect((await visitor.post(`${PATH}/${accountId}${verb}`, fields)).status).toBe(404);
    }
    expect(
      await env.DB.prepare('select suspended_at_ms from account where id = ?').bind(accountId).first(),
    ).toEqual({
      suspended_at_ms: null,
    });
    const console = await operatorBrowser();
    for (const verb of ['/grants', '/suspend', '/resume'])
      for (const id of ['acct_00000000000000000000000000', 'nonsense'])
        expect((await console.post(`${PATH}/${id}${verb}`, fields)).status).toBe(404);
  });
});

describe('a grant', () => {
  it('is granted once, however often its form is sent', async () => {
    const console = await operatorBrowser();
    const { accountId, email } = await newCustomer();
    const grantId = await grantIdOf(console, accountId);
    const fields = { grantId, amount: '12.50', note: 'an outage', confirmGrant: email.toUpperCase() };
    const path = `${PATH}/${accountId}/grants`;
    const responses = await Promise.all([console.post(path, fields), console.post(path, fields)]);
    expect(responses.map(({ status }) => status)).toEqual([303, 303]);
    expect(await textOf(console.get(responses[0]!.headers.get('location')!))).toContain(names.grantDone);
    expect((await env.WALLET.getByName(accountId).balance()).availableNanoUsd).toBe(17_500_000_000);
    expect(await grantIdOf(console, accountId)).not.toBe(grantId);
    const [row] = (await auditOf(accountId)).filter(({ action }) => action === 'account.granted');
    expect(JSON.parse(row!.detail)).toEqual({ grant: grantId, amount_usd: '12.50', note: 'an outage' });

    const other = await console.post(path, { ...fields, amount: '13' });
    expect([other.status, await textOf(other)]).toEqual([
      422,
      expect.stringContaining(MESSAGES.en.faults.grant_taken),
    ]);
  });

  it.each([
    [{ amount: '0' }, 'grant_bounds'],
    [{ amount: '10000.01' }, 'grant_bounds'],
    [{ amount: 'five' }, 'amount'],
    [{ note: '' }, 'required'],
    [{ confirmGrant: 'somebody@example.com' }, 'confirm_account'],
    [{ confirmGrant: '' }, 'confirm_account'],
    [{ grantId: '../other' }, null],
  ] as const)('is rejected with %j, and the input is kept', async (invalid, fault) => {
    const console = await operatorBrowser();
    const { accountId } = await newCustomer();
    const fields = {
      grantId: crypto.randomUUID(),
      amount: '5',
      note: 'a “reason”',
      confirmGrant: accountId,
      ...invalid,
    };
    const response = await console.post(`${PATH}/${accountId}/grants`, fields);
    const html = await response.text();
    expect(response.status).toBe(422);
    if (fault !== null) expect(html).toContain(MESSAGES.en.faults[fault]);
    if (!('note' in invalid)) expect(html).toContain('a “reason”');
    expect((await env.WALLET.getByName(accountId).balance()).availableNanoUsd).toBe(usd(5));
  });
});

describe('a request', () => {
  it('is found by its id alone', async () => {
    const console = await operatorBrowser();
    const { browser, accountId } = await newCustomer();
    const requestId = newId('req', Date.now());
    await d1(
      `INSERT INTO usage_event VALUES (?, ?, ?, 'deepseek-r1-0528', NULL, 1, 2, 'posted', 'finished', 1,
        30, 10, 100, 60, 'deepseek-r1-0528/standard/1', 231400, 0, 2, 450)`,
      accountId,
      requestId,
      newId('key', Date.now()),
    );
    const found = await console.get(`${PATH}?q=${requestId}`);
    expect(found.headers.get('location')).toBe(`${PATH}/${accountId}/requests/${requestId}`);
    expect(await textOf(console.get(found.headers.get('location')!))).toContain('231,400');
    const unknown = await textOf(console.get(`${PATH}?q=${newId('req', Date.now())}`));
    expect(unknown).toContain(MESSAGES.en.operator.accounts.none);
    expect((await browser.get(`${PATH}?q=${requestId}`)).status).toBe(404);
  });
});

describe('a suspension', () => {
  it('requires a confirmation, is shown and audited, and can be undone', async () => {
    const console = await operatorBrowser();
    const { accountId, email } = await newCustomer();
    const suspend = (confirmState: string) => console.post(`${PATH}/${accountId}/suspend`, { confirmState });
    const unconfirmed = await suspend('yes');
    expect([unconfirmed.status, await textOf(unconfirmed)]).toEqual([
      422,
      expect.stringContaining(MESSAGES.en.faults.confirm_account),
    ]);
    const suspended = await textOf(
      console.postAndFollow(`${PATH}/${accountId}/suspend`, { confirmState: accountId }),
    );
    expect(suspended).toContain(names.suspendDone);
    expect(suspended).toContain(names.resumeNote);
    expect(await textOf(console.get(`${PATH}?q=${accountId}`))).toContain(`${email} ${names.suspended}`);
    const resumed = await textOf(
      console.postAndFollow(`${PATH}/${accountId}/resume`, { confirmState: email }),
    );
    expect(resumed).toContain(names.resumeDone);
    expect(resumed).toContain(names.suspendTitle);
    const person = await env.DB.prepare('select id from person where email = ?')
      .bind(console.email)
      .first<{ id: string }>();
    const trail = await auditOf(accountId);
    expect(trail.map(({ action, actor }) => [action, actor])).toEqual([
      ['account.suspended', person!.id],
      ['account.resumed', person!.id],
    ]);
  });
});
