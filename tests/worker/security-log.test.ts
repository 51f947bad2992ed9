/** The security log: a line for each proof, refusal and limit, with its time in UTC and ids instead of addresses and names. */
import { createExecutionContext, waitOnExecutionContext } from 'cloudflare:test';
import { beforeEach, expect, it, vi } from 'vitest';
import { database } from '../../worker/db/client.ts';
import { createKey } from '../../worker/db/keys.ts';
import { config } from '../../worker/env.ts';
import app from '../../worker/index.ts';
import { LINES_PER_MINUTE, logSecurity } from '../../worker/lib/security-log.ts';
import { pepperKey } from '../../worker/tokens/pepper.ts';
import { newAccount } from './fleet/fixtures.ts';
import { Browser, bindings, ORIGIN, PASSWORD } from './portal/browser.ts';

type Line = Readonly<Record<string, unknown>>;
let lines: Line[];
let tests = 0;
beforeEach(() => {
  lines = [];
  tests += 1;
  // Each test has minutes of its own, because lines are counted by the minute.
  vi.setSystemTime(Math.floor(Date.now() / 60_000 + 10 * tests) * 60_000);
  vi.spyOn(console, 'info').mockImplementation((text) => void lines.push(JSON.parse(text)));
  return () => vi.useRealTimers();
});

const events = () => lines.map(({ event }) => event);
const line = (event: string) => lines.find((each) => each.event === event);

/** Sends a request through the whole Worker. */
async function send(path: string, init: RequestInit = {}): Promise<Response> {
  const context = createExecutionContext();
  const response = await app.fetch(new Request(ORIGIN + path, init), bindings, context);
  const read = new Response(response.body && (await response.arrayBuffer()), response);
  await waitOnExecutionContext(context);
  return read;
}

it('has every step of signing up, in and out, with the means and the person’s id', async () => {
  const browser = new Browser();
  const { email } = await browser.signUp();
  await browser.post('/sign-out', {});
  await browser.post('/sign-in', { email, password: 'not the password' });
  await browser.post('/sign-in', { email, password: PASSWORD });
  expect(events()).toEqual(['signed_up', 'signed_out', 'sign_in_refused', 'signed_in']);
  expect(line('sign_in_refused')).toMatchObject({ by: 'password', reason: 'wrong_credentials' });
  expect(line('signed_in')!.person).toBe(line('signed_up')!.person);
  for (const { at } of lines) expect(at).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  const text = JSON.stringify(lines);
  for (const secret of [email, PASSWORD, browser.address]) expect(text).not.toContain(secret);
});

it('names one network alike each time, and two networks differently', async () => {
  const [one, other] = [new Browser(), new Browser()];
  await one.post('/sign-in', { email: 'a@example.com', password: 'not the password' });
  await one.post('/sign-in', { email: 'b@example.com', password: 'not the password' });
  await other.post('/sign-in', { email: 'a@example.com', password: 'not the password' });
  const [first, second, third] = lines.map(({ network }) => network);
  expect(first).toMatch(/^[\w-]{12}$/);
  expect(second).toBe(first);
  expect(third).not.toBe(first);
});

it('knows a network by the address that Cloudflare saw, whatever else a client says', async () => {
  const fields = { email: 'a@example.com', password: 'not the password' };
  const sign = (headers: Record<string, string>) =>
    send('/sign-in', {
      method: 'POST',
      body: new URLSearchParams(fields),
      headers: { origin: ORIGIN, 'cf-connecting-ip': '192.0.2.7', ...headers },
    });
  await sign({});
  for (const name of ['x-forwarded-for', 'x-real-ip', 'true-client-ip', 'forwarded'])
    await sign({ [name]: '203.0.113.9' });
  const refused = lines.filter(({ event }) => event === 'sign_in_refused');
  expect(refused).toHaveLength(5);
  expect(new Set(refused.map(({ network }) => network)).size).toBe(1);
});

it('has a change of the password, and a proof that failed', async () => {
  const browser = new Browser();
  await browser.signUp();
  const next = 'another long battery';
  await browser.post('/settings/password', { current: 'not the password', password: next });
  await browser.post('/settings/password', { current: PASSWORD, password: next });
  await browser.post('/settings/second-factor', { password: 'not the password' });
  expect(events().slice(1)).toEqual(['proof_refused', 'sign_in_changed', 'proof_refused']);
  expect(line('sign_in_changed')).toMatchObject({ person: line('signed_up')!.person, what: 'password' });
});

it.each([
  ['an unknown key', '/v1/key', { authorization: 'Bearer sk-tg-unknown' }, 401, '/v1/key'],
  ['no key', '/user/balance', {}, 401, '/user/balance'],
  [
    'a wrong operator token',
    '/operator/api/nodes',
    { authorization: 'Bearer x' },
    401,
    '/operator/api/nodes',
  ],
])('has a refusal of %s by its route', async (_, path, headers, status, route) => {
  expect((await send(path, { headers })).status).toBe(status);
  expect(lines).toEqual([
    { event: 'access_refused', at: expect.any(String), method: 'GET', route, status, by: null },
  ]);
});

it('names the key and the person that were refused', async () => {
  const request = { accountId: await newAccount(), name: 'test', nowMs: Date.now() };
  const { row, key } = await createKey(database(bindings), await pepperKey(config(bindings)), request);
  const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' };
  expect((await send('/v1/keys', { method: 'POST', headers, body: '{}' })).status).toBe(403);
  expect(line('access_refused')).toMatchObject({ route: '/v1/keys', status: 403, by: row.id });
  lines = [];
  const browser = new Browser();
  await browser.signUp();
  expect((await browser.get('/operator/accounts')).status).toBe(404);
  expect(line('access_refused')).toMatchObject({ status: 404, by: line('signed_up')!.person });
  expect(JSON.stringify(lines)).not.toContain(key);
});

it('has a form that another site sent', async () => {
  const form = { method: 'POST', body: new URLSearchParams({ email: 'a@example.com' }) };
  const response = await send('/sign-in', { ...form, headers: { origin: 'https://evil.example' } });
  expect(response.status).toBe(403);
  expect(line('access_refused')).toMatchObject({ method: 'POST', route: '/sign-in', status: 403 });
});

it('has an attempt beyond a limit, with the rules and without the subject', async () => {
  const browser = new Browser();
  const email = 'guessed@example.com';
  for (let guess = 0; guess < 9; guess++)
    await browser.post('/sign-in', { email, password: `guess no ${guess}` });
  expect(line('rate_limited')).toMatchObject({ rules: ['sign_in_visitor'] });
  expect(JSON.stringify(lines)).not.toContain(email);
  expect(JSON.stringify(lines)).not.toContain(browser.address);
});

it('keeps text in its line, whatever it holds', () => {
  const print = vi.spyOn(console, 'info');
  logSecurity('access_refused', { route: 'x\n{"event":"signed_in"}\u2028\r' });
  expect(print.mock.lastCall![0]).not.toMatch(/[\n\r]/);
  expect(lines).toHaveLength(1);
});

it('is bounded by the minute, and says how many lines it left out', () => {
  for (let each = 0; each < LINES_PER_MINUTE + 30; each++) logSecurity('access_refused', {});
  expect(lines).toHaveLength(LINES_PER_MINUTE);
  logSecurity('signed_in', {});
  expect(lines).toHaveLength(LINES_PER_MINUTE + 1);
  vi.setSystemTime(Date.now() + 60_000);
  logSecurity('access_refused', {});
  expect(lines.slice(-2)).toMatchObject([
    { event: 'security_lines_left_out', of: 'access_refused', count: 30 },
    { event: 'access_refused' },
  ]);
});
