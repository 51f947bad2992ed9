/** Sign-up, sign-in and sessions of people, and their limits against abuse. */
import { expect, it } from 'vitest';
import { accountOfPerson } from '../../../worker/db/accounts.ts';
import { database } from '../../../worker/db/client.ts';
import { findKeyByHash } from '../../../worker/db/find-key.ts';
import { listKeys } from '../../../worker/db/keys.ts';
import { hashApiKey } from '../../../worker/domain/api-key.ts';
import { RATE_RULES } from '../../../worker/domain/rate-limit.ts';
import { config } from '../../../worker/env.ts';
import { ensureAccount, type Person } from '../../../worker/identity/account.ts';
import { pepperKey } from '../../../worker/tokens/pepper.ts';
import { Browser, bindings, newEmail, ORIGIN, PASSWORD } from './browser.ts';

const db = database(bindings);

async function personByEmail(email: string) {
  const row = await bindings.DB.prepare('SELECT * FROM person WHERE email = ?').bind(email).first();
  return row as { id: string; name: string; role: string; created_at: number } | null;
}

it('opens an account with a working first key at sign-up', async () => {
  const browser = new Browser();
  const { email } = await browser.signUp('Ada');
  const person = await personByEmail(email);
  const accountId = (await accountOfPerson(db, person!.id))!;
  expect(accountId).toMatch(/^acct_/);
  expect(await listKeys(db, accountId)).toHaveLength(1);

  const start = await (await browser.get('/start')).text();
  const key = /sk-tg-[0-9A-Za-z]{46}/.exec(start)?.[0];
  const hash = await hashApiKey(key!, (await pepperKey(config(bindings))).hmac);
  expect((await findKeyByHash(db, hash))?.key.accountId).toBe(accountId);
});

it('shows the first key once, inside the snippets', async () => {
  const browser = new Browser();
  await browser.signUp();
  const first = await (await browser.get('/start')).text();
  expect(first.match(/sk-tg-[0-9A-Za-z]{46}/g)).toHaveLength(9);
  const second = await (await browser.get('/start')).text();
  expect(second).not.toMatch(/sk-tg-[0-9A-Za-z]{46}/);
  expect(second).toContain('$TOLLGATE_API_KEY');
});

it('carries the key over the redirect encrypted, so that neither scripts nor readers of cookies see it', async () => {
  const browser = new Browser();
  await browser.signUp();
  const start = await (await new Browser().get('/start')).text();
  expect(start).not.toContain('sk-tg-');
  expect(browser.cookies.get('__Host-shown_once')).toMatch(/^eyJ[\w-]+\.\./);
  expect([...browser.cookies.values()].join()).not.toContain('sk-tg-');
});

it('opens one account however often that is requested', async () => {
  const person: Person = {
    id: crypto.randomUUID(),
    name: 'Half made',
    email: `${crypto.randomUUID()}@example.com`,
    role: 'customer',
    emailVerified: false,
    twoFactor: false,
    createdAtMs: 1_790_000_000_000,
  };
  await bindings.DB.prepare(
    'INSERT INTO person (id, name, email, created_at, updated_at) VALUES (?, ?, ?, 1, 1)',
  )
    .bind(person.id, person.name, person.email)
    .run();
  const ids = await Promise.all([1, 2, 3].map((nowMs) => ensureAccount(bindings, person, nowMs)));
  expect(new Set(ids).size).toBe(1);
});

it('completes an account whose sign-up was interrupted, on the next page', async () => {
  const browser = new Browser();
  const { email } = await browser.signUp();
  const person = await personByEmail(email);
  await bindings.DB.prepare('DELETE FROM member WHERE person_id = ?').bind(person!.id).run();
  expect((await browser.get('/billing')).status).toBe(200);
  expect(await accountOfPerson(db, person!.id)).toMatch(/^acct_/);
});

it('lets a person sign up again whose first sign-up never stored a password', async () => {
  const email = `${crypto.randomUUID()}@example.com`;
  await bindings.DB.prepare(
    'INSERT INTO person (id, name, email, created_at, updated_at) VALUES (?, ?, ?, 1, 1)',
  )
    .bind(crypto.randomUUID(), 'Cut short', email)
    .run();
  const response = await new Browser().post('/sign-up', {
    name: 'Ada',
    email,
    password: 'correct horse battery',
  });
  expect(response.status).toBe(303);
});

it('signs in with the right password, whatever the case of the e-mail', async () => {
  const { email, password } = await new Browser().signUp();
  const browser = new Browser();
  const page = await browser.postAndFollow('/sign-in', { email: email.toUpperCase(), password });
  expect(page.status).toBe(200);
  expect(await page.text()).toContain(email);
});

it('responds the same to a wrong password and to an unknown e-mail', async () => {
  const { email } = await new Browser().signUp();
  const wrong = await new Browser().post('/sign-in', { email, password: 'wrong horse battery' });
  const unknown = await new Browser().post('/sign-in', {
    email: `x${email}`,
    password: 'wrong horse battery',
  });
  expect([wrong.status, unknown.status]).toEqual([422, 422]);
  const text = async (response: Response) => (await response.text()).replaceAll(`x${email}`, email);
  expect(await text(wrong)).toBe(await text(unknown));
  expect(wrong.headers.getSetCookie()).toEqual([]);
});

it.each([
  ['IPv6 /64', RATE_RULES.sign_up_network.count, (i: number) => `2001:db8:5:6:${(i * 7919).toString(16)}::1`],
  ['IPv4 /24', RATE_RULES.sign_up_network.sharedCount, (i: number) => `203.0.113.${i}`],
] as const)('stops one network, an %s, from opening many accounts', async (_, count, addressOf) => {
  const browser = new Browser();
  const statuses: number[] = [];
  for (let i = 0; i <= count; i++) {
    browser.cookies.clear();
    browser.address = addressOf(i);
    const email = `${crypto.randomUUID()}@example.com`;
    const response = await browser.post('/sign-up', {
      name: 'Many',
      email,
      password: 'correct horse battery',
    });
    statuses.push(response.status);
  }
  expect(new Set(statuses.slice(0, -1))).toEqual(new Set([303]));
  expect(statuses.at(-1)).toBe(429);
});

it('starts a new session at every sign-in and ends the previous one', async () => {
  const browser = new Browser();
  const { email, password } = await browser.signUp();
  const name = '__Host-tollgate.session_token';
  const first = browser.cookies.get(name);
  await browser.post('/sign-in', { email, password });
  const second = browser.cookies.get(name);
  expect(second).not.toBe(first);
  const thief = new Browser();
  thief.cookies.set(name, first!);
  expect((await thief.get('/keys')).headers.get('location')).toBe('/sign-in?next=%2Fkeys');
});

it('marks the session cookie Secure, HttpOnly and SameSite', async () => {
  const fields = {
    name: 'Ada',
    email: `${crypto.randomUUID()}@example.com`,
    password: 'correct horse battery',
  };
  const response = await new Browser().post('/sign-up', fields);
  const line = response.headers.getSetCookie().find((each) => each.includes('session_token'));
  expect(line).toMatch(/; Secure/i);
  expect(line).toMatch(/; HttpOnly/i);
  expect(line).toMatch(/; SameSite=Lax/i);
});

it('prefixes every cookie with __Host-, which binds it to HTTPS and to this host', async () => {
  const browser = new Browser();
  const responses = [
    await browser.post('/sign-up', { name: 'Ada', email: newEmail(), password: PASSWORD }),
    await browser.post('/settings/profile', { name: 'Ada', language: 'fr' }),
    await browser.post('/sign-out', {}),
  ];
  const lines = responses.flatMap((response) => response.headers.getSetCookie());
  const names = new Set(lines.map((line) => line.split('=')[0]));
  for (const name of ['session_token', 'device', 'language', 'shown_once'])
    expect([...names].some((each) => each!.endsWith(name))).toBe(true);
  for (const line of lines) {
    expect(line).toMatch(/^__Host-/);
    for (const attribute of [/; Secure/i, /; HttpOnly/i, /; SameSite=Lax/i, /; Path=\/(;|$)/i])
      expect(line).toMatch(attribute);
    expect(line).not.toMatch(/; Domain/i);
  }
});

it('offers signing out on every page of a person', async () => {
  const browser = new Browser();
  await browser.signUp();
  for (const path of [
    '/start',
    '/usage',
    '/keys',
    '/requests',
    '/billing',
    '/team',
    '/settings',
    '/alerts',
    '/pricing',
  ])
    expect(await (await browser.get(path)).text()).toContain('action="/sign-out"');
});

it('has the browser forget pages and stored data at sign-out', async () => {
  const browser = new Browser();
  await browser.signUp();
  const left = await browser.post('/sign-out', {});
  expect(left.headers.get('clear-site-data')).toBe('"cache", "storage"');
});

it('ends the session at sign-out', async () => {
  const browser = new Browser();
  await browser.signUp();
  const session = browser.cookies.get('__Host-tollgate.session_token');
  expect((await browser.post('/sign-out', {})).headers.get('location')).toBe('/');
  browser.cookies.set('__Host-tollgate.session_token', session!);
  expect((await browser.get('/keys')).status).toBe(303);
});

it('keeps the input and marks what is invalid, but never sends a password back', async () => {
  const response = await new Browser().post('/sign-up', {
    name: 'Ada',
    email: 'not an address',
    password: 'short',
  });
  expect(response.status).toBe(422);
  const text = await response.text();
  expect(text).toContain('value="not an address"');
  expect(text).toContain('aria-describedby="email-fault"');
  expect(text).not.toContain('value="short"');
});

it('rejects a taken e-mail, and a role in the form makes nobody an operator', async () => {
  const { email } = await new Browser().signUp();
  const again = { name: 'Eve', email, password: 'correct horse battery', role: 'operator' };
  expect((await new Browser().post('/sign-up', again)).status).toBe(422);
  const fresh = { ...again, email: `${crypto.randomUUID()}@example.com` };
  await new Browser().post('/sign-up', fresh);
  expect((await personByEmail(fresh.email))?.role).toBe('customer');
});

it('opens no second account for a person who is signed in, such as from a tab that was open before', async () => {
  const browser = new Browser();
  await browser.signUp('Ada');
  const again = { name: 'Ada', email: newEmail(), password: PASSWORD };
  const response = await browser.post('/sign-up', { ...again, next: '/usage' });
  expect([response.status, response.headers.get('location')]).toEqual([303, '/usage']);
  expect(await personByEmail(again.email)).toBeNull();
});

it('redirects after sign-in to our own pages only', async () => {
  const { email, password } = await new Browser().signUp();
  for (const [next, expected] of [
    ['/keys', '/keys'],
    ['//evil.example', '/usage'],
    ['/\\evil.example', '/usage'],
    ['https://evil.example', '/usage'],
  ]) {
    const response = await new Browser().post('/sign-in', { email, password, next: next! });
    expect(response.headers.get('location')).toBe(expected);
  }
});

it.each([
  ['/sign-up', 'https://evil.example'],
  ['/sign-in', 'null'],
  ['/sign-out', null],
  ['/language', `${ORIGIN}.evil.example`],
  ['/keys', 'http://tollgate.test'],
  ['/billing', 'https://evil.example'],
  ['/alerts/endpoints', 'https://evil.example'],
  ['/operator/pool', 'https://evil.example'],
] as const)('rejects a form to %s from %s', async (path, origin) => {
  const response = await new Browser().post(path, { language: 'fr' }, origin);
  expect(response.status).toBe(403);
  expect(response.headers.getSetCookie()).toEqual([]);
});

it('creates one person from concurrent sign-ups, and the others learn that the e-mail is taken', async () => {
  const email = `twice-${crypto.randomUUID()}@example.com`;
  const fields = { name: 'Twice', email, password: 'correct horse battery' };
  const responses = await Promise.all([1, 2, 3].map(() => new Browser().post('/sign-up', fields)));
  expect(responses.map(({ status }) => status).sort()).toEqual([303, 422, 422]);
});

it('rejects a password that is too long by better-auth’s count', async () => {
  const fields = {
    name: 'Long',
    email: `long-${crypto.randomUUID()}@example.com`,
    password: '😀'.repeat(100),
  };
  expect((await new Browser().post('/sign-up', fields)).status).toBe(422);
});

it('keeps the current session when a sign-in fails', async () => {
  const browser = new Browser();
  const { email } = await browser.signUp('Stays');
  expect((await browser.post('/sign-in', { email, password: 'wrong wrong wrong' })).status).toBe(422);
  expect((await browser.get('/usage')).status).toBe(200);
});
