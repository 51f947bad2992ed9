import { describe, expect, it } from 'vitest';
import { redeemPromoCode } from '../../../worker/billing/promo-codes.ts';
import { usd } from '../../../worker/domain/money.ts';
import type { Env } from '../../../worker/env.ts';
import { MESSAGES } from '../../../worker/i18n/locale.ts';
import { auditOf, env, newAccount } from '../fleet/fixtures.ts';
import { Browser } from '../portal/browser.ts';
import { operatorBrowser, operatorGet, operatorSend, outcomeOf, textOf } from '../portal/operator/console.ts';

let codes = 0;

async function newCode(change: Record<string, unknown> = {}): Promise<string> {
  codes += 1;
  const code = `WELCOME-${codes}`;
  const body = { code, amount_usd: '7.5', redemptions_max: 10, ...change };
  expect(await outcomeOf(operatorSend('/promo-codes', body))).toBe('201');
  return code;
}

function redeem(accountId: string, typed: string, using: Env = env) {
  return redeemPromoCode(using, { accountId, typed, nowMs: Date.now() });
}

async function grantedOf(accountId: string): Promise<number> {
  return (await env.WALLET.getByName(accountId).balance()).grantedNanoUsd;
}

const AMOUNT = 7_500_000_000;

describe('a promo code', () => {
  it('is created by an operator, once, with an audit row', async () => {
    const code = await newCode({ expires_at: '2100-01-01T00:00:00Z' });
    const again = { code, amount_usd: '100', redemptions_max: 1 };
    expect(await outcomeOf(operatorSend('/promo-codes', again))).toBe('409 promo_code_taken');
    const { promo_codes } = await (await operatorGet('/promo-codes')).json<{ promo_codes: object[] }>();
    expect(promo_codes[0]).toMatchObject({ code, amount_usd: '7.50', redeemed: 0, redemptions_max: 10 });
    expect(await auditOf(code)).toMatchObject([{ action: 'promo_code.created', actor: 'operator-token' }]);
  });

  it.each([
    { code: 'abc' },
    { code: 'A/B/C/D' },
    { code: 'X'.repeat(33) },
    { amount_usd: '0' },
    { amount_usd: '1000.01' },
    { redemptions_max: 0 },
    { expires_at: 'tomorrow' },
  ])('is refused as %j', async (change) => {
    const body = { code: 'GOOD-CODE', amount_usd: '5', redemptions_max: 1, ...change };
    expect(await outcomeOf(operatorSend('/promo-codes', body))).toBe('400 body_invalid');
  });

  it('cannot expire before it is created', async () => {
    const body = {
      code: 'TOO-LATE',
      amount_usd: '5',
      redemptions_max: 1,
      expires_at: '2020-01-01T00:00:00Z',
    };
    expect(await outcomeOf(operatorSend('/promo-codes', body))).toBe('400 promo_expires_in_past');
  });
});

describe('redeeming', () => {
  it('grants the credit once per account, whatever the case and spaces', async () => {
    const code = await newCode();
    const accountId = await newAccount();
    const first = await redeem(accountId, ` ${code.toLowerCase()} `);
    expect(first).toMatchObject({
      ok: true,
      before: false,
      entry: { kind: 'grant', reference: `promo/${code}` },
    });
    const second = await redeem(accountId, code);
    expect(second).toMatchObject({ ok: true, before: true, entry: { seq: 1 } });
    expect(await grantedOf(accountId)).toBe(AMOUNT);
  });

  it('gives exactly the available redemptions when a hundred accounts redeem at once', async () => {
    const code = await newCode({ redemptions_max: 10 });
    const accounts = await Promise.all(Array.from({ length: 100 }, newAccount));
    const results = await Promise.all(accounts.map((accountId) => redeem(accountId, code)));
    expect(results.filter(({ ok }) => ok)).toHaveLength(10);
    const refused = results.filter(({ ok }) => !ok);
    expect(new Set(refused.map((each) => !each.ok && each.reason))).toEqual(new Set(['promo_used_up']));
    const granted = await Promise.all(accounts.map(grantedOf));
    expect(granted.reduce((sum, each) => sum + each, 0)).toBe(10 * AMOUNT);
  });

  it('is one redemption when one account redeems many times at once', async () => {
    const code = await newCode({ redemptions_max: 3 });
    const accountId = await newAccount();
    const results = await Promise.all(Array.from({ length: 8 }, () => redeem(accountId, code)));
    expect(results.every(({ ok }) => ok)).toBe(true);
    expect(await grantedOf(accountId)).toBe(AMOUNT);
    const { redeemed } = (await env.DB.prepare(
      'select count(*) as redeemed from promo_redemption where code = ?',
    )
      .bind(code)
      .first<{ redeemed: number }>())!;
    expect(redeemed).toBe(1);
  });

  it('that broke off before the Wallet is completed by redeeming again, even when the code is used up and expired', async () => {
    const code = await newCode({ redemptions_max: 1 });
    const accountId = await newAccount();
    const getByName = () => ({ grant: () => Promise.reject(new Error('this Wallet is down')) });
    const broken = { ...env, WALLET: { getByName } as unknown as Env['WALLET'] };
    await expect(redeem(accountId, code, broken)).rejects.toThrow('down');
    expect(await grantedOf(accountId)).toBe(0);
    expect(await redeem(await newAccount(), code)).toEqual({ ok: false, reason: 'promo_used_up' });

    await env.DB.prepare('update promo_code set expires_at_ms = 1 where code = ?').bind(code).run();
    expect(await redeem(accountId, code)).toMatchObject({ ok: true, before: true });
    await redeem(accountId, code);
    expect(await grantedOf(accountId)).toBe(AMOUNT);
  });

  it('does not reveal whether a code ever existed: unknown, malformed and expired give one reason', async () => {
    const accountId = await newAccount();
    const code = await newCode();
    await env.DB.prepare('update promo_code set expires_at_ms = ? where code = ?')
      .bind(Date.now(), code)
      .run();
    const unknown = { ok: false, reason: 'promo_unknown' };
    for (const typed of [code, 'NO-SUCH-CODE', "' OR 1=1 --", '']) {
      expect(await redeem(accountId, typed)).toEqual(unknown);
    }
    // An expired code that was used up before gives the same reason.
    await env.DB.prepare('update promo_code set redemptions_max = 0 where code = ?').bind(code).run();
    expect(await redeem(accountId, code)).toEqual(unknown);
    expect(await grantedOf(accountId)).toBe(0);
  });

  it('throttles an account that guesses', async () => {
    const accountId = await newAccount();
    const code = await newCode();
    for (let i = 0; i < 10; i++) {
      expect(await redeem(accountId, `GUESS-${i}`)).toEqual({ ok: false, reason: 'promo_unknown' });
    }
    expect(await redeem(accountId, code)).toMatchObject({ ok: false, reason: 'too_many_attempts' });
    expect(await redeem(await newAccount(), code)).toMatchObject({ ok: true });
  });
});

describe('the ids of grants', () => {
  it('of operators never collide with the trial’s or a promo code’s', async () => {
    const code = await newCode();
    const accountId = await newAccount();
    await env.WALLET.getByName(accountId).grant({ grantId: 'trial', amountNanoUsd: usd(5) });
    const grants = `/accounts/${accountId}/grants`;
    expect(await outcomeOf(operatorSend(grants, { grant_id: 'trial', amount_usd: '5' }))).toBe('201');
    expect(await outcomeOf(operatorSend(grants, { grant_id: `promo/${code}`, amount_usd: '5' }))).toBe(
      '400 body_invalid',
    );
    expect(await outcomeOf(operatorSend(grants, { grant_id: code, amount_usd: '5' }))).toBe('201');
    await redeem(accountId, code);
    expect(await grantedOf(accountId)).toBe(usd(15) + AMOUNT);
    const { entries } = await env.WALLET.getByName(accountId).ledger({ limit: 10 });
    expect(entries.map(({ reference }) => reference)).toEqual([
      `promo/${code}`,
      `operator/${code}`,
      'operator/trial',
      'trial',
    ]);
  });
});

describe('the pages', () => {
  const { promo, faults, operator } = MESSAGES.en;

  it('create a code and redeem it', async () => {
    const console = await operatorBrowser();
    const fields = { code: 'spring-sale', amountNanoUsd: '2.5', redemptionsMax: '1', expiresAtMs: '' };
    const made = await textOf(console.postAndFollow('/operator/promo-codes', fields));
    expect(made).toContain(operator.promo.made('SPRING-SALE'));
    expect(made).toContain('0 / 1');
    const taken = await console.post('/operator/promo-codes', fields);
    expect(taken.status).toBe(422);
    expect(await textOf(taken)).toContain(faults.promo_code_taken);

    const customer = new Browser();
    await customer.signUpConfirmed();
    const redeemed = await textOf(customer.post('/billing/promo', { code: 'spring-sale' }));
    expect(redeemed).toContain(promo.redeemed('$2.50', '2'));
    const again = await textOf(customer.post('/billing/promo', { code: 'spring-sale' }));
    expect(again).toContain(promo.before('$2.50', '2'));
    expect(await textOf(console.get('/operator/promo-codes'))).toContain('1 / 1');
    const late = new Browser();
    await late.signUp();
    const refused = await late.post('/billing/promo', { code: 'spring-sale' });
    expect([refused.status, await textOf(refused)]).toEqual([
      422,
      expect.stringContaining(faults.promo_used_up),
    ]);
  });

  it.each([
    { code: 'no' },
    { amountNanoUsd: '0' },
    { amountNanoUsd: '' },
    { amountNanoUsd: '1000.01' },
    { redemptionsMax: '0' },
    { expiresAtMs: 'soon' },
    { expiresAtMs: '2020-01-01T00:00' },
  ])('keep the typed fields and create no code for %j', async (change) => {
    const console = await operatorBrowser();
    const fields = {
      code: 'NEVER-MADE',
      amountNanoUsd: '2',
      redemptionsMax: '7',
      expiresAtMs: '',
      ...change,
    };
    const answer = await console.post('/operator/promo-codes', fields);
    expect(answer.status).toBe(422);
    expect(await env.DB.prepare("select * from promo_code where code = 'NEVER-MADE'").first()).toBeNull();
  });

  it('explain an unknown code, and after many attempts say when to try again', async () => {
    const customer = new Browser('fr');
    await customer.signUp();
    const { faults } = MESSAGES.fr;
    for (let i = 0; i < 10; i++) {
      const answer = await customer.post('/billing/promo', { code: 'nothing' });
      expect([answer.status, await textOf(answer)]).toEqual([
        422,
        expect.stringContaining(faults.promo_unknown),
      ]);
    }
    expect((await customer.post('/billing/promo', { code: 'nothing' })).status).toBe(429);
  });

  it('are a 404 for customers, and send strangers to sign in', async () => {
    const customer = new Browser();
    await customer.signUp();
    expect((await customer.get('/operator/promo-codes')).status).toBe(404);
    expect((await customer.post('/operator/promo-codes', { code: 'MINE-MINE' })).status).toBe(404);
    const stranger = await new Browser().post('/billing/promo', { code: 'ABCD' });
    expect(stranger.headers.get('location')).toBe('/sign-in');
  });
});
