/** Sessions end by themselves: at an absolute end, and after idle time, sooner for operators. */
import { describe, expect, it } from 'vitest';
import { SEEN_EVERY_MS, SESSION_LIMITS } from '../../../worker/domain/session-end.ts';
import { Browser, bindings, PASSWORD } from '../portal/browser.ts';

const { customer, operator } = SESSION_LIMITS;

/** Makes the person's sessions older than they are. */
async function age(email: string, { createdMs = 0, seenMs = 0 }: { createdMs?: number; seenMs?: number }) {
  await bindings.DB.prepare(
    'UPDATE person_session SET created_at = created_at - ?, expires_at = expires_at - ?, updated_at = updated_at - ? WHERE person_id = (SELECT id FROM person WHERE email = ?)',
  )
    .bind(createdMs, createdMs, seenMs, email)
    .run();
}

async function isSignedIn(browser: Browser): Promise<boolean> {
  return (await browser.get('/settings')).status === 200;
}

async function person(role: 'customer' | 'operator') {
  const browser = new Browser();
  const { email } = await browser.signUp();
  await bindings.DB.prepare('UPDATE person SET role = ? WHERE email = ?').bind(role, email).run();
  return { browser, email };
}

describe.each([
  ['customer', customer],
  ['operator', operator],
] as const)('a session of a %s', (role, { absoluteMs, idleMs }) => {
  it('has an absolute end, which use does not move', async () => {
    const { browser, email } = await person(role);
    for (let used = 0; used < 3; used++) {
      await age(email, { createdMs: absoluteMs / 4, seenMs: Math.min(absoluteMs / 4, idleMs - 60_000) });
      expect(await isSignedIn(browser)).toBe(true);
    }
    await age(email, { createdMs: absoluteMs / 4 });
    expect(await isSignedIn(browser)).toBe(false);
    await browser.post('/sign-in', { email, password: PASSWORD });
    expect(await isSignedIn(browser)).toBe(true);
  });

  it('ends when it was not used for a time', async () => {
    const { browser, email } = await person(role);
    await age(email, { seenMs: idleMs - 60_000 });
    expect(await isSignedIn(browser)).toBe(true);
    await age(email, { seenMs: idleMs - 60_000 });
    expect(await isSignedIn(browser)).toBe(true);
    await age(email, { seenMs: idleMs });
    expect(await isSignedIn(browser)).toBe(false);
    const { results } = await bindings.DB.prepare(
      'SELECT s.id FROM person_session s JOIN person p ON p.id = s.person_id WHERE p.email = ?',
    )
      .bind(email)
      .all();
    expect(results).toEqual([]);
  });
});

it('a customer who becomes an operator is held to an operator’s limits at once', async () => {
  const { browser, email } = await person('customer');
  await age(email, { createdMs: operator.absoluteMs });
  expect(await isSignedIn(browser)).toBe(true);
  await bindings.DB.prepare("UPDATE person SET role = 'operator' WHERE email = ?").bind(email).run();
  expect(await isSignedIn(browser)).toBe(false);
});

it('its last use is written down every five minutes, not with every page', async () => {
  const { browser, email } = await person('customer');
  const seen = async () =>
    (await bindings.DB.prepare(
      'SELECT updated_at FROM person_session WHERE person_id = (SELECT id FROM person WHERE email = ?)',
    )
      .bind(email)
      .first<number>('updated_at'))!;
  const before = await seen();
  await browser.get('/settings');
  expect(await seen()).toBe(before);
  await age(email, { seenMs: SEEN_EVERY_MS });
  await browser.get('/settings');
  expect(await seen()).toBeGreaterThanOrEqual(before);
});

it('the cookie lives as long as the longest session', async () => {
  const response = await new Browser().post('/sign-up', {
    name: 'Ada',
    email: `${crypto.randomUUID()}@example.com`,
    password: PASSWORD,
  });
  const line = response.headers.getSetCookie().find((each) => each.includes('session_token'));
  expect(line).toMatch(new RegExp(`Max-Age=${customer.absoluteMs / 1_000};`, 'i'));
});

it('its token is random, at least 128 bits of it, and another at each sign-in', async () => {
  const { email } = await person('customer');
  const tokens = await Promise.all(
    Array.from({ length: 20 }, async () => {
      const response = await new Browser().post('/sign-in', { email, password: PASSWORD });
      const line = response.headers.getSetCookie().find((each) => each.includes('session_token='))!;
      return decodeURIComponent(line.split(';')[0]!.split('=').slice(1).join('=')).split('.')[0]!;
    }),
  );
  // 32 letters and digits are 190 bits; a character that all tokens share would be one that is not random
  for (const token of tokens) expect(token).toMatch(/^[A-Za-z0-9]{32}$/);
  for (let at = 0; at < 32; at++) expect(new Set(tokens.map((token) => token[at])).size).toBeGreaterThan(1);
});

it('over sessions are not listed', async () => {
  const { browser, email } = await person('customer');
  await age(email, { seenMs: customer.idleMs });
  await browser.post('/sign-in', { email, password: PASSWORD });
  const page = await (await browser.get('/settings')).text();
  expect(page.match(/\/settings\/sessions\/\w/g) ?? []).toEqual([]);
});
