/** Sign-in with GitHub: which person is signed in, and which error page everybody else gets. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { accountOfPerson } from '../../../worker/db/accounts.ts';
import { listKeys } from '../../../worker/db/keys.ts';
import { RATE_RULES } from '../../../worker/domain/rate-limit.ts';
import { config } from '../../../worker/env.ts';
import { MESSAGES } from '../../../worker/i18n/locale.ts';
import { db, TaskHarness } from '../notifications/fixtures.ts';
import { Browser, bindings, newEmail, PASSWORD } from '../portal/browser.ts';
import { totpFromPage } from './authenticator.ts';
import { CLIENT_ID, CLIENT_SECRET, FakeGithub, type GithubAccount, githubAccount } from './github-fake.ts';

const { en } = MESSAGES;
const SESSION = '__Host-tollgate.session_token';
const SETTINGS = { GITHUB_CLIENT_ID: CLIENT_ID, GITHUB_CLIENT_SECRET: CLIENT_SECRET };

let harness: TaskHarness;
let github: FakeGithub;

beforeEach(() => {
  harness = new TaskHarness(SETTINGS);
  github = new FakeGithub();
  vi.stubGlobal('fetch', github.fetch);
  // failures at GitHub are logged
  vi.spyOn(console, 'error').mockImplementation(() => {});
});
afterEach(() => {
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

const newBrowser = (language = 'en') => new Browser(language, harness.env);

/** Submits the form. @returns the URL at GitHub to which it leads */
async function startSignIn(browser: Browser, fields: Record<string, string> = {}): Promise<string> {
  const response = await browser.post('/sign-in/github', fields);
  expect(response.status).toBe(303);
  return response.headers.get('location')!;
}

async function signInWith(browser: Browser, account: GithubAccount, fields: Record<string, string> = {}) {
  return browser.get(github.approve(await startSignIn(browser, fields), account));
}

const redirectOf = (response: Response) => [response.status, response.headers.get('location')];

async function rows(sql: string, ...values: unknown[]): Promise<Record<string, unknown>[]> {
  return (
    await bindings.DB.prepare(sql)
      .bind(...values)
      .all()
  ).results;
}

const people = (email: string) => rows('SELECT * FROM person WHERE email = ?', email.toLowerCase());
const credentials = (email: string) =>
  rows('SELECT c.* FROM person_credential c JOIN person p ON p.id = c.person_id WHERE p.email = ?', email);

async function isSignedIn(browser: Browser): Promise<boolean> {
  return (await browser.get('/settings')).status === 200;
}

/** The path in the only new e-mail to that address. */
async function linkInEmailTo(email: string): Promise<string> {
  await harness.drain();
  const emails = harness.emails.splice(0).filter(({ to }) => to === email);
  expect(emails).toHaveLength(1);
  return emails[0]!.text.match(/https:\/\/tollgate\.test(\/\S*)/)![1]!;
}

/** A person with a password and a confirmed address. */
async function confirmedPerson(): Promise<{ email: string; browser: Browser }> {
  const browser = newBrowser();
  const { email } = await browser.signUp();
  await browser.post(await linkInEmailTo(email), {});
  return { email, browser };
}

describe('the settings', () => {
  it.each([
    [{ GITHUB_CLIENT_SECRET: undefined }, 'GITHUB_CLIENT_SECRET is not set, but GITHUB_CLIENT_ID is'],
    [{ GITHUB_CLIENT_ID: undefined }, 'GITHUB_CLIENT_ID is not set, but GITHUB_CLIENT_SECRET is'],
    [{ GITHUB_CLIENT_ID: '' }, 'GITHUB_CLIENT_ID must be the client id'],
    [{ GITHUB_CLIENT_SECRET: '' }, 'GITHUB_CLIENT_SECRET must be a client secret'],
  ])('%j are rejected with a message', (change, sentence) => {
    expect(() => config({ ...bindings, ...SETTINGS, ...change })).toThrow(sentence);
  });

  it('are optional: without them there is no button and no page, and no form may lead to GitHub', async () => {
    const browser = new Browser();
    for (const path of ['/sign-in', '/sign-up']) {
      const response = await browser.get(path);
      expect(response.headers.get('content-security-policy')).not.toContain('github');
      expect(await response.text()).not.toContain('GitHub');
    }
    expect((await browser.post('/sign-in/github', {})).status).toBe(404);
    expect((await browser.get('/sign-in/github/callback?code=c&state=s')).status).toBe(404);
  });

  it('put the button on both pages, and only their forms may lead to GitHub', async () => {
    for (const language of ['en', 'fr'] as const)
      for (const path of ['/sign-in', '/sign-up?next=/invitation/x']) {
        const response = await newBrowser(language).get(path);
        expect(response.headers.get('content-security-policy')).toMatch(
          /form-action [^;]*https:\/\/github\.com/,
        );
        const text = await response.text();
        expect(text).toContain(MESSAGES[language].github.submit);
        expect(text).toContain('action="/sign-in/github"');
      }
    const other = await newBrowser().get('/pricing');
    expect(other.headers.get('content-security-policy')).not.toContain('github');
  });
});

it('leads to GitHub with a state, PKCE and the one scope that it needs', async () => {
  const browser = newBrowser();
  const response = await browser.post('/sign-in/github', {});
  expect(response.status).toBe(303);
  const [cookie] = response.headers.getSetCookie();
  for (const each of [/^__Host-tollgate\.state=/, /; HttpOnly/i, /; Secure/i, /; SameSite=Lax/i])
    expect(cookie).toMatch(each);
  const url = new URL(response.headers.get('location')!);
  expect(url.origin + url.pathname).toBe('https://github.com/login/oauth/authorize');
  const { state, code_challenge: challenge, ...rest } = Object.fromEntries(url.searchParams);
  expect(state).toMatch(/^[\w-]{32}$/);
  expect(challenge).toMatch(/^[\w-]{43}$/);
  expect(rest).toEqual({
    response_type: 'code',
    client_id: CLIENT_ID,
    scope: 'user:email',
    redirect_uri: 'https://tollgate.test/sign-in/github/callback',
    code_challenge_method: 'S256',
  });
  expect((await browser.post('/sign-in/github', {}, 'https://evil.example')).status).toBe(403);
});

describe('a newcomer', () => {
  it('gets what a sign-up by e-mail gets, with the address confirmed', async () => {
    const browser = newBrowser('fr');
    const email = newEmail();
    expect(redirectOf(await signInWith(browser, githubAccount(email)))).toEqual([303, '/start']);
    const [person] = await people(email);
    expect(person).toMatchObject({ name: 'Mona', email_verified: 1, role: 'customer', locale: 'fr' });
    const accountId = (await accountOfPerson(db, String(person!.id)))!;
    expect(await listKeys(db, accountId)).toMatchObject([{ name: MESSAGES.fr.signUp.firstKeyName }]);
    const { grantedNanoUsd } = await bindings.WALLET.getByName(accountId).balance();
    expect(grantedNanoUsd).toBe(config(bindings).trialGrantNanoUsd);
    expect(await (await browser.get('/start')).text()).toMatch(/sk-tg-[0-9A-Za-z]{46}/);
    await harness.drain();
    expect(harness.emails).toEqual([]);
  });

  it('leaves no GitHub token in the database', async () => {
    const email = newEmail();
    const account = githubAccount(email);
    for (const browser of [newBrowser(), newBrowser()]) await signInWith(browser, account);
    const kept = await credentials(email);
    expect(kept).toMatchObject([{ provider: 'github', subject: String(account.id) }]);
    expect(JSON.stringify(kept)).not.toContain('gho_');
  });

  it('is the same person the next time, even if the address at GitHub has changed', async () => {
    const [email, later] = [newEmail(), newEmail()];
    const account = githubAccount(email);
    await signInWith(newBrowser(), account);
    account.emails = githubAccount(later).emails;
    const browser = newBrowser();
    expect(redirectOf(await signInWith(browser, account))).toEqual([303, '/usage']);
    expect(await (await browser.get('/settings')).text()).toContain(email);
    expect(await people(later)).toEqual([]);
  });

  it('who was invited is sent to the invitation, and gets no account of their own', async () => {
    const email = newEmail();
    const response = await signInWith(newBrowser(), githubAccount(email), { next: '/invitation/abc' });
    expect(redirectOf(response)).toEqual([303, '/invitation/abc']);
    const [person] = await people(email);
    expect(await accountOfPerson(db, String(person!.id))).toBe(null);
  });

  it('whose sign-up was interrupted before the GitHub credential was stored is signed in the next time', async () => {
    const email = newEmail();
    const account = githubAccount(email);
    await signInWith(newBrowser(), account);
    await bindings.DB.prepare('DELETE FROM person_credential WHERE subject = ?')
      .bind(String(account.id))
      .run();
    expect(redirectOf(await signInWith(newBrowser(), account))).toEqual([303, '/usage']);
    expect(await people(email)).toHaveLength(1);
  });

  it('is called by their login if their name would not be valid here', async () => {
    const email = newEmail();
    const account = githubAccount(email, { name: '\u202eevil' });
    await signInWith(newBrowser(), account);
    expect(await people(email)).toMatchObject([{ name: account.login }]);
  });

  it('cannot sign up again and again from one address for the trial credit', async () => {
    const browser = newBrowser();
    const statuses: number[] = [];
    for (let i = 0; i <= RATE_RULES.sign_up_network.sharedCount; i++) {
      browser.cookies.clear();
      statuses.push((await signInWith(browser, githubAccount(newEmail()))).status);
    }
    expect(new Set(statuses.slice(0, -1))).toEqual(new Set([303]));
    expect(statuses.at(-1)).toBe(429);
    expect(await isSignedIn(browser)).toBe(false);
  });
});

describe('the e-mail address', () => {
  const other = (email: string, verified: boolean, primary = false) => ({
    email,
    primary,
    verified,
    visibility: null,
  });

  it('is one that GitHub has confirmed, never an unconfirmed public or primary one', async () => {
    const [primary, confirmed] = [newEmail(), newEmail()];
    const emails = [
      other(primary, false, true),
      other('1+octocat@users.noreply.github.com', true),
      other(confirmed, true),
    ];
    expect((await signInWith(newBrowser(), githubAccount('', { email: primary, emails }))).status).toBe(303);
    expect(await people(primary)).toEqual([]);
    expect(await people(confirmed)).toMatchObject([{ email_verified: 1 }]);
  });

  it.each([
    ['none', []],
    ['none that is confirmed', [other('nobody@example.com', false, true)]],
    ['none that can receive e-mail', [other('1+octocat@users.noreply.github.com', true, true)]],
  ])('when there is %s, nobody is signed in, and the page says what to do', async (_, emails) => {
    const browser = newBrowser();
    const response = await signInWith(browser, githubAccount('', { email: 'nobody@example.com', emails }));
    expect(response.status).toBe(403);
    expect(await response.text()).toContain(en.github.refused.no_email.title);
    expect(await isSignedIn(browser)).toBe(false);
    expect(await people('nobody@example.com')).toEqual([]);
  });
});

describe('a person who has signed up already', () => {
  it('is signed in as themselves if both sides have confirmed the address, and keeps the password', async () => {
    const { email } = await confirmedPerson();
    const browser = newBrowser();
    const account = githubAccount(email.toUpperCase());
    expect(redirectOf(await signInWith(browser, account, { next: '/keys' }))).toEqual([303, '/keys']);
    expect(await people(email)).toHaveLength(1);
    expect((await credentials(email)).map(({ provider }) => provider).sort()).toEqual([
      'credential',
      'github',
    ]);
    expect((await newBrowser().post('/sign-in', { email, password: PASSWORD })).status).toBe(303);
  });

  it('is not linked to GitHub while the address here is unconfirmed, because somebody else may have signed up with it', async () => {
    const impostor = newBrowser();
    const { email } = await impostor.signUp('Mallory');
    harness.tasks.splice(0);
    const browser = newBrowser();
    const account = githubAccount(email);
    const response = await signInWith(browser, account);
    expect(response.status).toBe(403);
    const text = await response.text();
    expect(text).toContain(en.github.refused.not_linked.title);
    expect(text).toContain('href="/sign-in/link"');
    expect(await isSignedIn(browser)).toBe(false);
    expect(await credentials(email)).toMatchObject([{ provider: 'credential' }]);
    expect(await people(email)).toMatchObject([{ email_verified: 0 }]);

    // following the page's advice gives the address to its owner and locks the impostor out
    await browser.post('/sign-in/link', { email });
    await browser.post(await linkInEmailTo(email), {});
    expect(redirectOf(await signInWith(newBrowser(), account))).toEqual([303, '/usage']);
    expect(await isSignedIn(impostor)).toBe(false);
    expect((await newBrowser().post('/sign-in', { email, password: PASSWORD })).status).toBe(422);
  });

  it('must enter the code of their second factor, and is not signed in before', async () => {
    const { email, browser } = await confirmedPerson();
    const page = await (
      await browser.postAndFollow('/settings/second-factor', { password: PASSWORD })
    ).text();
    const totp = totpFromPage(page);
    await browser.post('/settings/second-factor/confirm', { code: await totp() });

    const other = newBrowser();
    const response = await signInWith(other, githubAccount(email), { next: '/keys' });
    expect(redirectOf(response)).toEqual([303, '/sign-in/code?next=%2Fkeys']);
    expect(response.headers.getSetCookie().filter((line) => line.startsWith(`${SESSION}=`))).toEqual([
      expect.stringMatching(/=;.*Max-Age=0/i),
    ]);
    expect(await isSignedIn(other)).toBe(false);
    expect((await other.post('/sign-in/code', { code: '000000' })).status).toBe(422);
    expect(redirectOf(await other.post('/sign-in/code', { code: await totp(1), next: '/keys' }))).toEqual([
      303,
      '/keys',
    ]);
    expect(await isSignedIn(other)).toBe(true);
  });

  it('gets a new session each time, and the browser’s former session ends', async () => {
    const { email, browser } = await confirmedPerson();
    const before = browser.cookies.get(SESSION)!;
    const another = newEmail();
    const path = github.approve(await startSignIn(browser), githubAccount(another));
    // old enough to be renewed by this very request: the renewed session must not replace the new one
    await bindings.DB.prepare(
      'UPDATE person_session SET expires_at = ? WHERE person_id = (SELECT id FROM person WHERE email = ?)',
    )
      .bind(Date.now() + 5 * 86_400_000, email)
      .run();
    expect(redirectOf(await browser.get(path))).toEqual([303, '/start']);
    expect(browser.cookies.get(SESSION)).not.toBe(before);
    expect(await (await browser.get('/settings')).text()).toContain(another);
    const thief = newBrowser();
    thief.cookies.set(SESSION, before);
    expect(await isSignedIn(thief)).toBe(false);
  });

  it('is redirected to our own pages only', async () => {
    const account = githubAccount(newEmail());
    await signInWith(newBrowser(), account);
    for (const next of ['//evil.example', 'https://evil.example', '/\\evil.example'])
      expect(redirectOf(await signInWith(newBrowser(), account, { next }))).toEqual([303, '/usage']);
  });
});

describe('a callback that fails', () => {
  /** The page says what to do, and nobody is signed in. */
  async function expectRejected(
    browser: Browser,
    response: Response,
    [status, reason]: [number, keyof typeof en.github.refused],
  ): Promise<void> {
    const { title, text, link } = en.github.refused[reason];
    const page = await response.text();
    expect(response.status).toBe(status);
    for (const phrase of [title, text, link]) expect(page).toContain(phrase);
    expect(await isSignedIn(browser)).toBe(false);
  }

  it('because the person declined', async () => {
    const browser = newBrowser();
    await expectRejected(browser, await browser.get(github.deny(await startSignIn(browser))), [
      403,
      'denied',
    ]);
  });

  it('because it was used already', async () => {
    const browser = newBrowser();
    const path = github.approve(await startSignIn(browser), githubAccount(newEmail()));
    expect((await browser.get(path)).status).toBe(303);
    browser.cookies.delete(SESSION);
    await expectRejected(browser, await browser.get(path), [410, 'over']);
  });

  it('because another browser started the sign-in: nobody is signed in as somebody else', async () => {
    const [mallory, victim] = [newBrowser(), newBrowser()];
    const path = github.approve(await startSignIn(mallory), githubAccount(newEmail()));
    await expectRejected(victim, await victim.get(path), [410, 'over']);
    await startSignIn(victim);
    await expectRejected(victim, await victim.get(path), [410, 'over']);
  });

  it('because it is ten minutes late', async () => {
    const browser = newBrowser();
    const path = github.approve(await startSignIn(browser), githubAccount(newEmail()));
    vi.useFakeTimers({ now: Date.now() + 601_000, toFake: ['Date'] });
    const response = await browser.get(path);
    vi.useRealTimers();
    await expectRejected(browser, response, [410, 'over']);
  });

  it.each([
    '',
    '?code=c',
    '?state=',
    '?error=access_denied',
    '?code=c&state=unknown',
    '?code=c&state=a&state=b',
  ])('because GitHub never sends such a URL: %j', async (query) => {
    const browser = newBrowser();
    await expectRejected(browser, await browser.get(`/sign-in/github/callback${query}`), [410, 'over']);
  });

  it('because the code is unknown to GitHub, or missing', async () => {
    for (const code of ['code=made-up&', '']) {
      const browser = newBrowser();
      const state = new URL(await startSignIn(browser)).searchParams.get('state');
      await expectRejected(browser, await browser.get(`/sign-in/github/callback?${code}state=${state}`), [
        502,
        'failed',
      ]);
    }
  });

  it.each(
    (['token', 'user', 'emails'] as const).flatMap((endpoint) =>
      (['reset', 'html', { status: 503 }, { status: 403 }] as const).map(
        (fault) => [endpoint, fault] as const,
      ),
    ),
  )('because GitHub’s endpoint %s fails: %j', async (endpoint, fault) => {
    github.faults[endpoint] = fault;
    const browser = newBrowser();
    const email = newEmail();
    await expectRejected(browser, await signInWith(browser, githubAccount(email)), [502, 'failed']);
    expect(await people(email)).toEqual([]);
  });

  it('because there were too many attempts', async () => {
    const browser = newBrowser();
    const statuses: number[] = [];
    const limit = RATE_RULES.sign_in_step_network.sharedCount;
    for (let i = 0; i < limit + 2; i++)
      statuses.push((await browser.get('/sign-in/github/callback?state=x')).status);
    expect(new Set(statuses.slice(0, limit))).toEqual(new Set([410]));
    expect(statuses.slice(limit)).toEqual([429, 429]);
  });
});
