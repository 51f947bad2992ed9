/** Trial credit: given when the address is confirmed, once per inbox, within the day's total of the installation. */
import { beforeEach, describe, expect, it } from 'vitest';
import { accountOfPerson } from '../../../worker/db/accounts.ts';
import { claimTrialGrant } from '../../../worker/db/trial-grants.ts';
import { usd } from '../../../worker/domain/money.ts';
import { retentionMs } from '../../../worker/domain/retention.ts';
import { config } from '../../../worker/env.ts';
import { MESSAGES } from '../../../worker/i18n/locale.ts';
import { prune } from '../../../worker/retention/prune.ts';
import { db, TaskHarness, WITHOUT_MAIL } from '../notifications/fixtures.ts';
import { Browser, bindings, PASSWORD } from '../portal/browser.ts';

const { en } = MESSAGES;
const TRIAL = config(bindings).trialGrantNanoUsd;

let harness: TaskHarness;
beforeEach(() => {
  harness = new TaskHarness();
});

const newBrowser = () => new Browser('en', harness.env);

/** Delivers the queue. @returns the path of the confirmation link in the newest e-mail to that address */
async function confirmationPath(email: string): Promise<string> {
  await harness.drain();
  const texts = harness.emails.filter(({ to }) => to === email).map(({ text }) => text);
  return texts.at(-1)!.match(/\/verify-email\?token=[\w.-]+/)![0];
}

async function accountOf(email: string): Promise<string> {
  const id = await bindings.DB.prepare('SELECT id FROM person WHERE email = ?')
    .bind(email)
    .first<string>('id');
  return (await accountOfPerson(db, id!))!;
}

async function granted(email: string): Promise<number> {
  return (await bindings.WALLET.getByName(await accountOf(email)).balance()).grantedNanoUsd;
}

/** Signs up and confirms. */
async function confirmed(email?: string) {
  const browser = newBrowser();
  const person = await browser.signUp('Ada', email);
  await browser.post(await confirmationPath(person.email), {});
  return { browser, ...person };
}

/** An inbox at Gmail that no other test uses. */
const gmail = () => `t${crypto.randomUUID().replaceAll('-', '')}@gmail.com`;

describe('without a confirmed address', () => {
  it('there is no credit, and pages say what to do for it', async () => {
    const browser = newBrowser();
    const { email } = await browser.signUp();
    for (const path of ['/start', '/billing']) {
      const text = await (await browser.get(path)).text();
      expect(text).toContain(en.trial.unconfirmed('$5.00', email));
      expect(text).toContain('action="/settings/verify"');
    }
    expect((await browser.get('/keys')).status).toBe(200);
    expect(await granted(email)).toBe(0);
    harness.emails.splice(0);
    await browser.post('/settings/verify', {});
    await browser.post(await confirmationPath(email), {});
    expect(await granted(email)).toBe(TRIAL);
    expect(await (await browser.get('/billing')).text()).not.toContain('action="/settings/verify"');
  });

  it('nothing is promised where no address can be confirmed', async () => {
    harness = new TaskHarness(WITHOUT_MAIL);
    const browser = newBrowser();
    expect(await (await browser.get('/sign-up')).text()).toContain(en.signUp.leadNoCredit);
    await browser.signUp();
    expect(await (await browser.get('/start')).text()).not.toContain('/settings/verify');
  });
});

describe('a confirmed address', () => {
  it('has credit at once, even if the link is opened in another browser', async () => {
    const { email } = await newBrowser().signUp();
    await newBrowser().post(await confirmationPath(email), {});
    expect(await granted(email)).toBe(TRIAL);
  });

  it('has credit after a sign-in by link, which confirms it too', async () => {
    const { email } = await newBrowser().signUp();
    await harness.drain();
    harness.emails.splice(0);
    await newBrowser().post('/sign-in/link', { email });
    await harness.drain();
    const path = harness.emails.at(-1)!.text.match(/\/sign-in\/link\/[\w-]+/)![0];
    const browser = newBrowser();
    await browser.post(path, {});
    await browser.get('/usage');
    expect(await granted(email)).toBe(TRIAL);
  });

  it('is given credit once by concurrent confirmations and visits', async () => {
    const browser = newBrowser();
    const { email } = await browser.signUp();
    const path = await confirmationPath(email);
    await Promise.all([1, 2, 3].flatMap(() => [newBrowser().post(path, {}), browser.get('/usage')]));
    await browser.get('/start');
    expect(await granted(email)).toBe(TRIAL);
  });

  it('gives nothing again after the account was closed, under any spelling of the address', async () => {
    const email = gmail();
    const first = await confirmed(email);
    expect(await granted(email)).toBe(TRIAL);
    await first.browser.post('/account/close', { email, password: PASSWORD });
    for (const again of [email, email.replace('t', 't.'), email.replace('@gmail', '+2@googlemail')]) {
      await confirmed(again);
      expect([again, await granted(again)]).toEqual([again, 0]);
    }
  });

  it('gives nothing to a second account while the first is open', async () => {
    const email = gmail();
    const second = email.replace('@', '+again@');
    await Promise.all([confirmed(email), confirmed(second)]);
    expect((await granted(email)) + (await granted(second))).toBe(TRIAL);
  });

  it('is remembered at closing if the credit is older than the memory of it', async () => {
    const email = gmail();
    const { browser } = await confirmed(email);
    await bindings.DB.prepare('DELETE FROM trial_grant WHERE account_id = ?')
      .bind(await accountOf(email))
      .run();
    await browser.post('/account/close', { email, password: PASSWORD });
    await confirmed(email);
    expect(await granted(email)).toBe(0);
  });

  it('of an account from before inboxes were noted is noted in slices, and gets nothing again', async () => {
    const email = gmail();
    await confirmed(email);
    const accountId = await accountOf(email);
    const unnote = () =>
      bindings.DB.batch([
        bindings.DB.prepare('DELETE FROM trial_grant WHERE account_id = ?').bind(accountId),
        bindings.DB.prepare('UPDATE account SET trial_noted_at_ms = NULL WHERE id = ?').bind(accountId),
      ]);
    await unnote();
    // without an owner there is no inbox to note, and the account does not come up again
    await bindings.DB.prepare(
      `INSERT INTO account (id, name, created_at_ms, trial_decided_at_ms)
       SELECT ?1 || '-' || value, 'x', 1, 1 FROM json_each(?2)`,
    )
      .bind(accountId, JSON.stringify([...Array(60).keys()]))
      .run();
    const left = () =>
      bindings.DB.prepare(
        'SELECT count(*) AS n FROM account WHERE trial_decided_at_ms IS NOT NULL AND trial_noted_at_ms IS NULL',
      ).first('n');
    const nowMs = Date.now();
    await prune(bindings, nowMs);
    expect(await left()).toBe(11);
    await prune(bindings, nowMs);
    await prune(bindings, nowMs);
    expect(await left()).toBe(0);
    const other = email.replace('@', '+again@');
    await confirmed(other);
    expect([await granted(email), await granted(other)]).toEqual([TRIAL, 0]);
    const note = await bindings.DB.prepare(
      'SELECT amount_nano_usd, day FROM trial_grant WHERE account_id = ?',
    )
      .bind(accountId)
      .first();
    expect(note).toEqual({ amount_nano_usd: 0, day: Math.floor(nowMs / 86_400_000) });
  });

  it('that never had credit still gets it after its account was closed', async () => {
    const browser = newBrowser();
    const { email } = await browser.signUp();
    await browser.post('/account/close', { email, password: PASSWORD });
    await confirmed(email);
    expect(await granted(email)).toBe(TRIAL);
  });

  it('is not stored in clear', async () => {
    const email = gmail();
    await confirmed(email);
    const { results } = await bindings.DB.prepare('SELECT * FROM trial_grant').all();
    expect(JSON.stringify(results)).not.toContain(email.split('@')[0]);
  });
});

it('is not given again when the person’s address changes', async () => {
  const { browser, email } = await confirmed();
  const other = `${crypto.randomUUID()}@example.com`;
  await bindings.DB.prepare('UPDATE person SET email = ? WHERE email = ?').bind(other, email).run();
  await browser.get('/usage');
  expect(await granted(other)).toBe(TRIAL);
});

it('goes to no invited member', async () => {
  const { browser: owner, email: ownerEmail } = await confirmed();
  const given = () => bindings.DB.prepare('SELECT count(*) AS n FROM trial_grant').first('n');
  const before = await given();
  const invited = `${crypto.randomUUID()}@example.com`;
  await owner.post('/team', { email: invited, role: 'developer' });
  await harness.drain();
  const path = harness.emails.at(-1)!.text.match(/\/invitation\/[\w-]+/)![0];
  const browser = newBrowser();
  await browser.post('/sign-up', { name: 'Bob', email: invited, password: PASSWORD, next: path });
  await browser.post(path, {});
  expect((await browser.get('/start')).status).toBe(200);
  expect(await granted(ownerEmail)).toBe(TRIAL);
  expect(await given()).toBe(before);
});

describe('the day’s total', () => {
  /** Installations whose total is used up by what this file's other tests were given today. */
  const exhausted = () => new TaskHarness({ TRIAL_DAILY_NANO_USD: String(TRIAL) });

  it('makes newcomers wait, says so, and their next visit on a day with room gives the credit once', async () => {
    await confirmed();
    harness = exhausted();
    const { browser, email } = await confirmed();
    expect(await granted(email)).toBe(0);
    expect(await (await browser.get('/billing')).text()).toContain(en.trial.waiting('$5.00'));
    expect(await (await newBrowser().get('/sign-up')).text()).toContain(en.trial.usedUp);
    const later = new Browser('en', new TaskHarness().env);
    for (const [name, value] of browser.cookies) later.cookies.set(name, value);
    await Promise.all([later.get('/usage'), later.get('/billing')]);
    expect(await granted(email)).toBe(TRIAL);
  });

  it('holds for concurrent claims, and begins anew each day', async () => {
    const claim = (day: number) =>
      claimTrialGrant(
        db,
        { emailHash: crypto.randomUUID(), accountId: crypto.randomUUID(), amountNanoUsd: usd(5), day },
        usd(17),
      );
    const today = 9_000_000;
    const rows = await Promise.all(Array.from({ length: 12 }, () => claim(today)));
    expect(rows.filter((row) => row !== null)).toHaveLength(3);
    expect(await claim(today + 1)).not.toBeNull();
    // rows are forgotten at the end of their life
    await claim(today + 1 + retentionMs('trial_grant') / 86_400_000);
    const kept = await bindings.DB.prepare('SELECT count(*) AS n FROM trial_grant WHERE day = ?')
      .bind(today)
      .first('n');
    expect(kept).toBe(0);
  });

  it('cannot be less than one grant, except to give none', async () => {
    const settings = (total: string) => config({ ...bindings, TRIAL_DAILY_NANO_USD: total });
    expect(() => settings('1')).toThrow('TRIAL_DAILY_NANO_USD is less than TRIAL_GRANT_NANO_USD');
    expect(settings('0').trialDailyNanoUsd).toBe(0);
  });
});
