/** Guessing of passwords and codes: it slows down whoever guesses, not the person. */
import { beforeEach, describe, expect, it } from 'vitest';
import { RATE_RULES, type RateRuleName } from '../../../worker/domain/rate-limit.ts';
import { takeAttempt } from '../../../worker/rate-limits/attempts.ts';
import { TaskHarness } from '../notifications/fixtures.ts';
import { Browser, bindings, newEmail, PASSWORD } from '../portal/browser.ts';
import { holdTimeStep, totpFromPage } from './authenticator.ts';

holdTimeStep();

let harness: TaskHarness;
beforeEach(() => {
  harness = new TaskHarness();
});

const newBrowser = () => new Browser('en', harness.env);
const DEVICE = '__Host-tollgate.device';

function signIn(browser: Browser, email: string, password = PASSWORD): Promise<Response> {
  return browser.post('/sign-in', { email, password });
}

/** Counts attempts without making them. */
async function count(rule: RateRuleName, subject: string, times: number): Promise<void> {
  for (let i = 0; i < times; i++) await takeAttempt(bindings, [{ rule, subject }], Date.now());
}

/** Wrong passwords, one a network as a botnet sends them, until the count over all networks is full. */
async function attackFromEverywhere(email: string): Promise<void> {
  const sent = 3;
  await count('sign_in_email', email, RATE_RULES.sign_in_email.count - sent);
  for (let i = 0; i < sent; i++)
    expect((await signIn(newBrowser(), email, `guess number ${i}`)).status).toBe(422);
}

async function resetPassword(browser: Browser, email: string, password: string): Promise<Response> {
  await browser.post('/reset-password', { email });
  await harness.drain();
  const path = harness.emails.at(-1)!.text.match(/\/reset-password\/\S+/)![0];
  return browser.post(path, { password });
}

/** A person with a second factor, turned on by a code of the step before. */
async function withSecondFactor() {
  const browser = newBrowser();
  const { email } = await browser.signUp();
  const page = await browser.postAndFollow('/settings/second-factor', { password: PASSWORD });
  const totp = totpFromPage(await page.text());
  await browser.post('/settings/second-factor/confirm', { code: await totp(-1) });
  return { browser, email, totp };
}

describe('wrong passwords at sign-in', () => {
  it('stop the network that guesses, with the right password too, and nobody else', async () => {
    const { email } = await newBrowser().signUp();
    const guesser = newBrowser();
    const statuses: number[] = [];
    for (let i = 0; i < 12; i++) statuses.push((await signIn(guesser, email, `guess number ${i}`)).status);
    expect(statuses).toEqual([...Array(8).fill(422), ...Array(4).fill(429)]);
    expect((await signIn(guesser, email)).status).toBe(429);
    expect((await signIn(newBrowser(), email)).status).toBe(303);
  });

  it('are answered alike whether or not anybody has the address', async () => {
    const { email } = await newBrowser().signUp();
    const of = async (address: string) => {
      const guesser = newBrowser();
      const answers: string[] = [];
      for (let i = 0; i < 10; i++) {
        const response = await signIn(guesser, address, `guess number ${i}`);
        answers.push(`${response.status} ${(await response.text()).replaceAll(address, '')}`);
      }
      return answers.map((text) => text.replace(/\d+ (minutes|seconds)/g, ''));
    };
    expect(await of(email)).toEqual(await of(`x${email}`));
  });

  it('from everywhere leave known devices and the way by e-mail open', async () => {
    const owner = newBrowser();
    const { email } = await owner.signUp();
    await attackFromEverywhere(email);
    expect((await signIn(newBrowser(), email)).status).toBe(429);
    await owner.post('/sign-out', {});
    expect((await signIn(owner, email)).status).toBe(303);

    const elsewhere = newBrowser();
    await elsewhere.post('/sign-in/link', { email });
    await harness.drain();
    const link = harness.emails.at(-1)!.text.match(/\/sign-in\/link\/\S+/)![0];
    expect((await elsewhere.post(link, {})).status).toBe(303);

    const reset = newBrowser();
    expect((await resetPassword(reset, email, 'another quiet engine')).status).toBe(303);
    expect((await signIn(reset, email, 'another quiet engine')).status).toBe(303);
  });

  it('from a known device are counted, too, and only against that device', async () => {
    const owner = newBrowser();
    const { email } = await owner.signUp();
    for (let i = 0; i < 8; i++) expect((await signIn(owner, email, `guess number ${i}`)).status).toBe(422);
    expect((await signIn(owner, email)).status).toBe(429);
    expect((await signIn(newBrowser(), email)).status).toBe(303);
  });
});

describe('a known device', () => {
  it('is known for one person, by a signature that the password is part of', async () => {
    const owner = newBrowser();
    const { email } = await owner.signUp();
    const cookie = owner.cookies.get(DEVICE)!;
    const stranger = newBrowser();
    await stranger.signUp();
    const strangers = stranger.cookies.get(DEVICE)!;
    await attackFromEverywhere(email);

    const from = async (device: string, password = PASSWORD) => {
      const browser = newBrowser();
      browser.cookies.set(DEVICE, device);
      return (await signIn(browser, email, password)).status;
    };
    const [personId] = cookie.split('.');
    expect(await from(cookie)).toBe(303);
    expect(await from(strangers)).toBe(429);
    expect(await from(strangers.replace(/^[^.]+/, personId!))).toBe(429);
    expect(await from(cookie.replace(/\.[^.]+\./, `.${crypto.randomUUID()}.`))).toBe(429);
    expect(await from('x.y')).toBe(429);

    const password = 'another quiet engine';
    await owner.post('/settings/password', { current: PASSWORD, password });
    expect(await from(cookie, password)).toBe(429);
    expect(await from(owner.cookies.get(DEVICE)!, password)).toBe(303);
  });

  it('may be shared by several people', async () => {
    const shared = newBrowser();
    const { email } = await shared.signUp();
    await shared.post('/sign-out', {});
    const other = await shared.signUp();
    await attackFromEverywhere(email);
    expect((await signIn(shared, email)).status).toBe(303);
    expect((await signIn(shared, other.email)).status).toBe(303);
    expect(shared.cookies.get(DEVICE)!.split('~')).toHaveLength(2);
  });
});

describe('in a session', () => {
  it.each([
    ['/settings/password', { current: 'wrong horse battery', password: 'another quiet engine' }],
    ['/settings/second-factor', { password: 'wrong horse battery' }],
  ])('guesses at %s are throttled, and another session is not', async (path, wrong) => {
    const thief = newBrowser();
    const { email } = await thief.signUp();
    const owner = newBrowser();
    await signIn(owner, email);
    const statuses: number[] = [];
    for (let i = 0; i < 40; i++) statuses.push((await thief.post(path, wrong)).status);
    expect(statuses).toEqual([...Array(8).fill(422), ...Array(32).fill(429)]);
    const right = {
      ...wrong,
      current: PASSWORD,
      password: path.endsWith('password') ? wrong.password : PASSWORD,
    };
    expect((await thief.post(path, right)).status).toBe(429);
    expect((await owner.post(path, right)).status).toBe(303);
  });

  it('guesses of the code that turns the factor on, and of the password that turns it off, share the count', async () => {
    const browser = newBrowser();
    await browser.signUp();
    await browser.post('/settings/second-factor', { password: PASSWORD });
    const statuses: number[] = [];
    for (let i = 0; i < 10; i++)
      statuses.push((await browser.post('/settings/second-factor/confirm', { code: '000000' })).status);
    expect(statuses).toEqual([...Array(8).fill(422), 429, 429]);

    const { browser: on } = await withSecondFactor();
    for (let i = 0; i < 4; i++) await on.post('/settings/second-factor', { password: 'wrong horse battery' });
    for (let i = 0; i < 4; i++)
      await on.post('/settings/second-factor/codes', { password: 'wrong horse battery' });
    expect((await on.post('/settings/second-factor', { password: PASSWORD })).status).toBe(429);
  });
});

describe('wrong codes at sign-in', () => {
  /** Tries codes as those do who know the password: five a challenge. @returns whether a network is stopped */
  async function guessCodes(browser: Browser, email: string, count: number): Promise<number[]> {
    const statuses: number[] = [];
    for (let i = 0; i < count; i++) {
      if (i % 4 === 0) await signIn(browser, email);
      statuses.push((await browser.post('/sign-in/code', { code: '000000' })).status);
    }
    return statuses;
  }

  it('stop the network that guesses, backup codes included, and not the owner', async () => {
    const { browser, email, totp } = await withSecondFactor();
    const thief = newBrowser();
    expect((await guessCodes(thief, email, 12)).slice(8)).toEqual([429, 429, 429, 429]);
    expect((await thief.post('/sign-in/code', { code: 'aaaaaa-bbbbbb-cccccc-dddddd' })).status).toBe(429);
    await signIn(browser, email);
    expect((await browser.post('/sign-in/code', { code: await totp() })).status).toBe(303);
    const elsewhere = newBrowser();
    await signIn(elsewhere, email);
    expect((await elsewhere.post('/sign-in/code', { code: await totp(1) })).status).toBe(303);
  });

  it('from many networks are few, and leave known devices open', async () => {
    const { browser, email, totp } = await withSecondFactor();
    for (let i = 0; i < RATE_RULES.code_person.count / 4; i++) await guessCodes(newBrowser(), email, 4);
    const elsewhere = newBrowser();
    await signIn(elsewhere, email);
    expect((await elsewhere.post('/sign-in/code', { code: await totp() })).status).toBe(429);
    await signIn(browser, email);
    expect((await browser.post('/sign-in/code', { code: await totp() })).status).toBe(303);
  });
});

it('counts uses of e-mails’ links by network', async () => {
  for (const path of ['/reset-password/x', '/verify-email?token=x', '/sign-in/link/x', '/invitation/x']) {
    const browser = newBrowser();
    await browser.signUp('Ada', newEmail());
    const use = async () => (await browser.post(path, { password: 'another quiet engine' })).status;
    await count('sign_in_step_network', browser.address, RATE_RULES.sign_in_step_network.sharedCount - 1);
    expect([path, await use(), await use()]).toEqual([path, 410, 429]);
  }
});
