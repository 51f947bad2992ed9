/** Sign-in with GitHub: who is let in as whom, and what each that is not is told. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { accountOfPerson } from '../../../worker/db/accounts.ts';
import { listKeys } from '../../../worker/db/keys.ts';
import { config } from '../../../worker/env.ts';
import { MESSAGES } from '../../../worker/i18n/locale.ts';
import { SIGN_UPS_PER_ADDRESS } from '../../../worker/lib/throttle.ts';
import { Desk, db } from '../notifications/fixtures.ts';
import { Browser, bindings, newEmail, PASSWORD } from '../portal/browser.ts';
import { authenticator } from './authenticator.ts';
import { CLIENT_ID, CLIENT_SECRET, FakeGithub, type GithubAccount, githubAccount } from './github-fake.ts';

const { en } = MESSAGES;
const SESSION = '__Secure-tollgate.session_token';
const SETTINGS = { GITHUB_CLIENT_ID: CLIENT_ID, GITHUB_CLIENT_SECRET: CLIENT_SECRET };

let desk: Desk;
let github: FakeGithub;

beforeEach(() => {
  desk = new Desk(SETTINGS);
  github = new FakeGithub();
  vi.stubGlobal('fetch', github.fetch);
  // what fails at GitHub is logged
  vi.spyOn(console, 'error').mockImplementation(() => {});
});
afterEach(() => {
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

const browser = (language = 'en') => new Browser(language, desk.env);

/** @returns the address at GitHub to which the form leads */
async function begin(at: Browser, fields: Record<string, string> = {}): Promise<string> {
  const answer = await at.post('/sign-in/github', fields);
  expect(answer.status).toBe(303);
  return answer.headers.get('location')!;
}

async function comeBy(at: Browser, account: GithubAccount, fields: Record<string, string> = {}) {
  return at.get(github.allow(await begin(at, fields), account));
}

const where = (answer: Response) => [answer.status, answer.headers.get('location')];

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

async function isSignedIn(at: Browser): Promise<boolean> {
  return (await at.get('/settings')).status === 200;
}

/** The path of the only letter to that address since the last look. */
async function letterTo(email: string): Promise<string> {
  await desk.drain();
  const mine = desk.letters.splice(0).filter(({ to }) => to === email);
  expect(mine).toHaveLength(1);
  return mine[0]!.text.match(/https:\/\/tollgate\.test(\/\S*)/)![1]!;
}

/** Somebody with a password and a confirmed address. */
async function known(): Promise<{ email: string; at: Browser }> {
  const at = browser();
  const { email } = await at.signUp();
  await at.get(await letterTo(email));
  return { email, at };
}

describe('the settings', () => {
  it.each([
    [{ GITHUB_CLIENT_SECRET: undefined }, 'GITHUB_CLIENT_SECRET is not set, but GITHUB_CLIENT_ID is'],
    [{ GITHUB_CLIENT_ID: undefined }, 'GITHUB_CLIENT_ID is not set, but GITHUB_CLIENT_SECRET is'],
    [{ GITHUB_CLIENT_ID: '' }, 'GITHUB_CLIENT_ID must be the client id'],
    [{ GITHUB_CLIENT_SECRET: '' }, 'GITHUB_CLIENT_SECRET must be a client secret'],
  ])('%j are refused with a sentence', (change, sentence) => {
    expect(() => config({ ...bindings, ...SETTINGS, ...change })).toThrow(sentence);
  });

  it('are not needed: without them there is no button, no such page, and no way out of the pages', async () => {
    const at = new Browser();
    for (const path of ['/sign-in', '/sign-up']) {
      const answer = await at.get(path);
      expect(answer.headers.get('content-security-policy')).not.toContain('github');
      expect(await answer.text()).not.toContain('GitHub');
    }
    expect((await at.post('/sign-in/github', {})).status).toBe(404);
    expect((await at.get('/sign-in/github/callback?code=c&state=s')).status).toBe(404);
  });

  it('put the button on both pages, whose forms may then lead to GitHub; other pages’ may not', async () => {
    for (const language of ['en', 'fr'] as const)
      for (const path of ['/sign-in', '/sign-up?next=/invitation/x']) {
        const answer = await browser(language).get(path);
        expect(answer.headers.get('content-security-policy')).toMatch(
          /form-action [^;]*https:\/\/github\.com/,
        );
        const text = await answer.text();
        expect(text).toContain(MESSAGES[language].github.submit);
        expect(text).toContain('action="/sign-in/github"');
      }
    const other = await browser().get('/pricing');
    expect(other.headers.get('content-security-policy')).not.toContain('github');
  });
});

it('leads to GitHub with a state, PKCE and the one scope that it needs', async () => {
  const at = browser();
  const answer = await at.post('/sign-in/github', {});
  expect(answer.status).toBe(303);
  const [cookie] = answer.headers.getSetCookie();
  for (const each of [/^__Secure-tollgate\.state=/, /; HttpOnly/i, /; Secure/i, /; SameSite=Lax/i])
    expect(cookie).toMatch(each);
  const url = new URL(answer.headers.get('location')!);
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
  expect((await at.post('/sign-in/github', {}, 'https://evil.example')).status).toBe(403);
});

describe('somebody new', () => {
  it('gets what a sign-up by e-mail gets, with the address confirmed', async () => {
    const at = browser('fr');
    const email = newEmail();
    expect(where(await comeBy(at, githubAccount(email)))).toEqual([303, '/start']);
    const [person] = await people(email);
    expect(person).toMatchObject({ name: 'Mona', email_verified: 1, role: 'customer', locale: 'fr' });
    const accountId = (await accountOfPerson(db, String(person!.id)))!;
    expect(await listKeys(db, accountId)).toMatchObject([{ name: MESSAGES.fr.signUp.firstKeyName }]);
    const { grantedNanoUsd } = await bindings.WALLET.getByName(accountId).balance();
    expect(grantedNanoUsd).toBe(config(bindings).trialGrantNanoUsd);
    expect(await (await at.get('/start')).text()).toMatch(/sk-tg-[0-9A-Za-z]{46}/);
    await desk.drain();
    expect(desk.letters).toEqual([]);
  });

  it('leaves no token of GitHub’s with us', async () => {
    const email = newEmail();
    const account = githubAccount(email);
    for (const at of [browser(), browser()]) await comeBy(at, account);
    const kept = await credentials(email);
    expect(kept).toMatchObject([{ provider: 'github', subject: String(account.id) }]);
    expect(JSON.stringify(kept)).not.toContain('gho_');
  });

  it('is the same person the next time, whatever the address at GitHub is by then', async () => {
    const [email, later] = [newEmail(), newEmail()];
    const account = githubAccount(email);
    await comeBy(browser(), account);
    account.emails = githubAccount(later).emails;
    const at = browser();
    expect(where(await comeBy(at, account))).toEqual([303, '/usage']);
    expect(await (await at.get('/settings')).text()).toContain(email);
    expect(await people(later)).toEqual([]);
  });

  it('who was invited comes to the invitation, and gets no account of their own', async () => {
    const email = newEmail();
    const answer = await comeBy(browser(), githubAccount(email), { next: '/invitation/abc' });
    expect(where(answer)).toEqual([303, '/invitation/abc']);
    const [person] = await people(email);
    expect(await accountOfPerson(db, String(person!.id))).toBe(null);
  });

  it('whose sign-up was cut short before GitHub was noted is let in the next time', async () => {
    const email = newEmail();
    const account = githubAccount(email);
    await comeBy(browser(), account);
    await bindings.DB.prepare('DELETE FROM person_credential WHERE subject = ?')
      .bind(String(account.id))
      .run();
    expect(where(await comeBy(browser(), account))).toEqual([303, '/usage']);
    expect(await people(email)).toHaveLength(1);
  });

  it('is called by their login where their name could not be typed here', async () => {
    const email = newEmail();
    const account = githubAccount(email, { name: '\u202eevil' });
    await comeBy(browser(), account);
    expect(await people(email)).toMatchObject([{ name: account.login }]);
  });

  it('cannot be made over and over from one address for the credit', async () => {
    const at = browser();
    const statuses: number[] = [];
    for (let i = 0; i <= SIGN_UPS_PER_ADDRESS.attempts; i++) {
      at.cookies.clear();
      statuses.push((await comeBy(at, githubAccount(newEmail()))).status);
    }
    expect(new Set(statuses.slice(0, -1))).toEqual(new Set([303]));
    expect(statuses.at(-1)).toBe(429);
    expect(await isSignedIn(at)).toBe(false);
  });
});

describe('the address', () => {
  const other = (email: string, verified: boolean, primary = false) => ({
    email,
    primary,
    verified,
    visibility: null,
  });

  it('is one that GitHub has confirmed, never the public or the primary one that it has not', async () => {
    const [primary, confirmed] = [newEmail(), newEmail()];
    const emails = [
      other(primary, false, true),
      other('1+octocat@users.noreply.github.com', true),
      other(confirmed, true),
    ];
    expect((await comeBy(browser(), githubAccount('', { email: primary, emails }))).status).toBe(303);
    expect(await people(primary)).toEqual([]);
    expect(await people(confirmed)).toMatchObject([{ email_verified: 1 }]);
  });

  it.each([
    ['none', []],
    ['none that is confirmed', [other('nobody@example.com', false, true)]],
    ['none to which a letter could go', [other('1+octocat@users.noreply.github.com', true, true)]],
  ])('where there is %s, nobody is let in, and the page says what to do', async (_, emails) => {
    const at = browser();
    const answer = await comeBy(at, githubAccount('', { email: 'nobody@example.com', emails }));
    expect(answer.status).toBe(403);
    expect(await answer.text()).toContain(en.github.refused.no_email.title);
    expect(await isSignedIn(at)).toBe(false);
    expect(await people('nobody@example.com')).toEqual([]);
  });
});

describe('somebody who is here already', () => {
  it('is let in as themselves where both sides have confirmed the address, and keeps the password', async () => {
    const { email } = await known();
    const at = browser();
    const account = githubAccount(email.toUpperCase());
    expect(where(await comeBy(at, account, { next: '/keys' }))).toEqual([303, '/keys']);
    expect(await people(email)).toHaveLength(1);
    expect((await credentials(email)).map(({ provider }) => provider).sort()).toEqual([
      'credential',
      'github',
    ]);
    expect((await browser().post('/sign-in', { email, password: PASSWORD })).status).toBe(303);
  });

  it('is not handed to GitHub while the address here is not confirmed: it may be a trap', async () => {
    const trap = browser();
    const { email } = await trap.signUp('Mallory');
    desk.tasks.splice(0);
    const at = browser();
    const account = githubAccount(email);
    const answer = await comeBy(at, account);
    expect(answer.status).toBe(403);
    const text = await answer.text();
    expect(text).toContain(en.github.refused.not_linked.title);
    expect(text).toContain('href="/sign-in/link"');
    expect(await isSignedIn(at)).toBe(false);
    expect(await credentials(email)).toMatchObject([{ provider: 'credential' }]);
    expect(await people(email)).toMatchObject([{ email_verified: 0 }]);

    // what the page says to do: after it the address is its owner's, and the trap is shut
    await at.post('/sign-in/link', { email });
    await at.post(await letterTo(email), {});
    expect(where(await comeBy(browser(), account))).toEqual([303, '/usage']);
    expect(await isSignedIn(trap)).toBe(false);
    expect((await browser().post('/sign-in', { email, password: PASSWORD })).status).toBe(422);
  });

  it('is asked for the code of a second factor, and is nowhere before it', async () => {
    const { email, at } = await known();
    const page = await (await at.postAndFollow('/settings/second-factor', { password: PASSWORD })).text();
    const totp = authenticator(page);
    await at.post('/settings/second-factor/confirm', { code: await totp() });

    const other = browser();
    const answer = await comeBy(other, githubAccount(email), { next: '/keys' });
    expect(where(answer)).toEqual([303, '/sign-in/code?next=%2Fkeys']);
    expect(answer.headers.getSetCookie().filter((line) => line.startsWith(`${SESSION}=`))).toEqual([
      expect.stringMatching(/=;.*Max-Age=0/i),
    ]);
    expect(await isSignedIn(other)).toBe(false);
    expect((await other.post('/sign-in/code', { code: '000000' })).status).toBe(422);
    expect(where(await other.post('/sign-in/code', { code: await totp(), next: '/keys' }))).toEqual([
      303,
      '/keys',
    ]);
    expect(await isSignedIn(other)).toBe(true);
  });

  it('has a new session each time, and the one of whoever was here before ends', async () => {
    const { email, at } = await known();
    const before = at.cookies.get(SESSION)!;
    const another = newEmail();
    const path = github.allow(await begin(at), githubAccount(another));
    // old enough to be renewed on this very page: the renewed one must not take the new one's place
    await bindings.DB.prepare(
      'UPDATE person_session SET expires_at = ? WHERE person_id = (SELECT id FROM person WHERE email = ?)',
    )
      .bind(Date.now() + 5 * 86_400_000, email)
      .run();
    expect(where(await at.get(path))).toEqual([303, '/start']);
    expect(at.cookies.get(SESSION)).not.toBe(before);
    expect(await (await at.get('/settings')).text()).toContain(another);
    const thief = browser();
    thief.cookies.set(SESSION, before);
    expect(await isSignedIn(thief)).toBe(false);
  });

  it('goes on to pages of ours only', async () => {
    const account = githubAccount(newEmail());
    await comeBy(browser(), account);
    for (const next of ['//evil.example', 'https://evil.example', '/\\evil.example'])
      expect(where(await comeBy(browser(), account, { next }))).toEqual([303, '/usage']);
  });
});

describe('what comes back otherwise', () => {
  /** Nothing is broken, nobody is let in, and the page says what to do. */
  async function isRefused(
    at: Browser,
    answer: Response,
    [status, why]: [number, keyof typeof en.github.refused],
  ): Promise<void> {
    const { title, text, link } = en.github.refused[why];
    const page = await answer.text();
    expect(answer.status).toBe(status);
    for (const phrase of [title, text, link]) expect(page).toContain(phrase);
    expect(await isSignedIn(at)).toBe(false);
  }

  it('a no', async () => {
    const at = browser();
    await isRefused(at, await at.get(github.deny(await begin(at))), [403, 'denied']);
  });

  it('a way back that was used already', async () => {
    const at = browser();
    const path = github.allow(await begin(at), githubAccount(newEmail()));
    expect((await at.get(path)).status).toBe(303);
    at.cookies.delete(SESSION);
    await isRefused(at, await at.get(path), [410, 'over']);
  });

  it('a way back that another browser began: nobody is signed in as somebody else', async () => {
    const [mallory, victim] = [browser(), browser()];
    const path = github.allow(await begin(mallory), githubAccount(newEmail()));
    await isRefused(victim, await victim.get(path), [410, 'over']);
    await begin(victim);
    await isRefused(victim, await victim.get(path), [410, 'over']);
  });

  it('a way back after ten minutes', async () => {
    const at = browser();
    const path = github.allow(await begin(at), githubAccount(newEmail()));
    vi.useFakeTimers({ now: Date.now() + 601_000, toFake: ['Date'] });
    const answer = await at.get(path);
    vi.useRealTimers();
    await isRefused(at, answer, [410, 'over']);
  });

  it.each([
    '',
    '?code=c',
    '?state=',
    '?error=access_denied',
    '?code=c&state=unknown',
    '?code=c&state=a&state=b',
  ])('an address that GitHub never sent: %j', async (query) => {
    const at = browser();
    await isRefused(at, await at.get(`/sign-in/github/callback${query}`), [410, 'over']);
  });

  it('a code that GitHub does not know, and none', async () => {
    for (const code of ['code=made-up&', '']) {
      const at = browser();
      const state = new URL(await begin(at)).searchParams.get('state');
      await isRefused(at, await at.get(`/sign-in/github/callback?${code}state=${state}`), [502, 'failed']);
    }
  });

  it.each(
    (['token', 'user', 'emails'] as const).flatMap((endpoint) =>
      (['reset', 'html', { status: 503 }, { status: 403 }] as const).map(
        (fault) => [endpoint, fault] as const,
      ),
    ),
  )('a GitHub whose %s is broken: %j', async (endpoint, fault) => {
    github.faults[endpoint] = fault;
    const at = browser();
    const email = newEmail();
    await isRefused(at, await comeBy(at, githubAccount(email)), [502, 'failed']);
    expect(await people(email)).toEqual([]);
  });

  it('somebody who tries without end', async () => {
    const at = browser();
    const statuses: number[] = [];
    for (let i = 0; i < 42; i++) statuses.push((await at.get('/sign-in/github/callback?state=x')).status);
    expect(new Set(statuses.slice(0, 40))).toEqual(new Set([410]));
    expect(statuses.slice(40)).toEqual([429, 429]);
  });
});
