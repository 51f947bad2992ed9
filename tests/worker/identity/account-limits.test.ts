/** Account limits: set by the operator's API and in the portal's operator pages, within bounds. */
import { describe, expect, it } from 'vitest';
import { nanoUsd } from '../../../worker/domain/money.ts';
import { MESSAGES } from '../../../worker/i18n/locale.ts';
import { auditOf, env, newAccount } from '../fleet/fixtures.ts';
import { Browser } from '../portal/browser.ts';
import { operatorBrowser, operatorSend, outcomeOf, textOf } from '../portal/operator/console.ts';

const names = MESSAGES.en.operator.accounts;

const limit = (accountId: string, body: object) =>
  operatorSend(`/accounts/${accountId}/limits`, body, 'PATCH');

async function limitsOf(accountId: string) {
  const columns = 'requests_per_minute, tokens_per_minute, concurrency';
  return env.DB.prepare(`select ${columns} from account where id = ?`).bind(accountId).first();
}

async function accountOf(email: string): Promise<string> {
  const row = await env.DB.prepare(
    'select account_id from member join person on person.id = member.person_id where email = ?',
  )
    .bind(email)
    .first<{ account_id: string }>();
  return row!.account_id;
}

describe('the limits of an account', () => {
  it('are set one by one, and the audit log has their former values', async () => {
    const accountId = await newAccount();
    expect(await outcomeOf(limit(accountId, { tokens_per_minute: 50_000 }))).toBe('200');
    const response = await limit(accountId, { requests_per_minute: 60, concurrency: 5 });
    expect(await response.json()).toEqual({
      id: accountId,
      requests_per_minute: 60,
      tokens_per_minute: 50_000,
      concurrency: 5,
    });
    expect(await outcomeOf(limit(accountId, { tokens_per_minute: null }))).toBe('200');
    expect(await limitsOf(accountId)).toEqual({
      requests_per_minute: 60,
      tokens_per_minute: null,
      concurrency: 5,
    });
    const rows = await auditOf(accountId);
    expect(rows.map(({ action }) => action)).toEqual(Array(3).fill('account.limited'));
    expect(JSON.parse(rows[0]!.detail)).toEqual({ tokensPerMinute: '– → 50000' });
  });

  it.each([
    {},
    { requests_per_minute: 0 },
    { requests_per_minute: null },
    { tokens_per_minute: -1 },
    { concurrency: 1.5 },
    { concurrency: 1_000_000 },
    { cap_nano_usd: 1 },
  ])('are not set to %j', async (body) => {
    const accountId = await newAccount();
    expect(await outcomeOf(limit(accountId, body))).toBe('400 body_invalid');
    expect(await limitsOf(accountId)).toMatchObject({ requests_per_minute: 6_000, concurrency: 1_000 });
  });

  it('are rejected for accounts that do not exist', async () => {
    for (const id of ['acct_00000000000000000000000000', 'nonsense']) {
      expect(await outcomeOf(limit(id, { concurrency: 1 }))).toBe('404 account_not_found');
    }
  });
});

describe('the operator’s accounts', () => {
  it('are found by id and by e-mail, complete or by prefix, and show their balances', async () => {
    const console = await operatorBrowser();
    const { email } = await new Browser().signUpConfirmed();
    const accountId = await accountOf(email);
    const wallet = env.WALLET.getByName(accountId);
    await wallet.topUp({ orderId: 'order_1', amountNanoUsd: nanoUsd(1_250_000_000) });
    const search = (q: string) => textOf(console.get(`/operator/accounts?q=${encodeURIComponent(q)}`));
    for (const q of [accountId, accountId.slice(0, 27), email, email.toUpperCase(), email.slice(0, 20)]) {
      expect(await search(q), q).toContain(`${accountId} ${email}`);
      expect(await search(q)).toContain('$6.25');
    }
    for (const q of ['%', '_', 'acct_zzz', 'nobody@example.com'])
      expect(await search(q)).toContain(names.none);
    const detail = await textOf(console.get(`/operator/accounts/${accountId}`));
    for (const shown of ['$6.25', names.owed, `${names.unpublished} 2`, email])
      expect(detail).toContain(shown);
  });

  it('get their limits in the operator pages, within bounds', async () => {
    const console = await operatorBrowser();
    const accountId = await newAccount();
    const path = `/operator/accounts/${accountId}`;
    const fields = { requestsPerMinute: '77', tokensPerMinute: '', concurrency: '8' };
    expect(await textOf(console.postAndFollow(path, fields))).toContain(names.saved);
    expect(await limitsOf(accountId)).toEqual({
      requests_per_minute: 77,
      tokens_per_minute: null,
      concurrency: 8,
    });
    for (const change of [{ requestsPerMinute: '0' }, { tokensPerMinute: 'many' }, { concurrency: '' }]) {
      const response = await console.post(path, { ...fields, ...change });
      expect([response.status, await textOf(response)]).toEqual([
        422,
        expect.stringContaining(MESSAGES.en.faults.whole_number),
      ]);
    }
    expect(await limitsOf(accountId)).toMatchObject({ requests_per_minute: 77 });
  });

  it('do not exist for a customer, nor for an operator when there is no such account', async () => {
    const customer = new Browser();
    const { email } = await customer.signUp();
    const path = `/operator/accounts/${await accountOf(email)}`;
    const fields = { requestsPerMinute: '99', tokensPerMinute: '', concurrency: '9' };
    expect((await customer.get('/operator/accounts')).status).toBe(404);
    expect((await customer.get(path)).status).toBe(404);
    expect((await customer.post(path, fields)).status).toBe(404);
    const console = await operatorBrowser();
    for (const id of ['acct_00000000000000000000000000', 'nonsense']) {
      expect((await console.get(`/operator/accounts/${id}`)).status).toBe(404);
      expect((await console.post(`/operator/accounts/${id}`, fields)).status).toBe(404);
    }
  });
});
