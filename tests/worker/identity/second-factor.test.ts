/** The second factor: its codes are accepted once, and backup codes are stored hashed. */
import { symmetricEncrypt } from 'better-auth/crypto';
import { describe, expect, it } from 'vitest';
import { config } from '../../../worker/env.ts';
import { MESSAGES } from '../../../worker/i18n/locale.ts';
import { TaskHarness } from '../notifications/fixtures.ts';
import { Browser, bindings, PASSWORD } from '../portal/browser.ts';
import { holdTimeStep, totpFromPage } from './authenticator.ts';

const { en } = MESSAGES;

holdTimeStep();

interface Row {
  backup_codes: string;
  last_used_step: number;
}

async function rowOf(email: string): Promise<Row> {
  const statement = bindings.DB.prepare(
    'SELECT t.* FROM person_two_factor t JOIN person p ON p.id = t.person_id WHERE p.email = ?',
  );
  return (await statement.bind(email).first<Row>())!;
}

function codesOf(page: string): string[] {
  const list = page.match(/data-codes[^>]*>(.*?)<\/ul>/s)![1]!;
  return [...list.matchAll(/<li>([\w-]+)<\/li>/g)].map((match) => match[1]!);
}

/** A person whose second factor was turned on by the code of the step before. */
async function withSecondFactor(browser = new Browser()) {
  const { email } = await browser.signUpConfirmed();
  const page = await (await browser.postAndFollow('/settings/second-factor', { password: PASSWORD })).text();
  const totp = totpFromPage(page);
  const confirmed = await browser.post('/settings/second-factor/confirm', { code: await totp(-1) });
  expect(confirmed.status).toBe(303);
  return { browser, email, totp, codes: codesOf(page) };
}

/** The status of a sign-in with the code: 303 if it is accepted. */
async function signInWith(email: string, code: string): Promise<number> {
  const browser = new Browser();
  await browser.post('/sign-in', { email, password: PASSWORD });
  return (await browser.post('/sign-in/code', { code })).status;
}

describe('a code of the app', () => {
  it('works once, not again in the same sign-in, another one or from another network', async () => {
    const { email, totp } = await withSecondFactor();
    const code = await totp();
    expect(await signInWith(email, code)).toBe(303);
    expect(await signInWith(email, code)).toBe(422);
    expect(await signInWith(email, code)).toBe(422);
  });

  it('is accepted from one of several sign-ins at once', async () => {
    const { email, totp } = await withSecondFactor();
    const code = await totp();
    const statuses = await Promise.all(Array.from({ length: 4 }, () => signInWith(email, code)));
    expect(statuses.sort()).toEqual([303, 422, 422, 422]);
  });

  it('of an earlier step is refused after a later one, and of the next step accepted', async () => {
    const { email, totp } = await withSecondFactor();
    expect(await signInWith(email, await totp(1))).toBe(303);
    expect(await signInWith(email, await totp())).toBe(422);
    expect(await signInWith(email, await totp(2))).toBe(422);
    expect((await rowOf(email)).last_used_step).toBe(Math.floor(Date.now() / 30_000) + 1);
  });

  it('that turned the factor on does not sign in', async () => {
    const browser = new Browser();
    const { email } = await browser.signUp();
    const page = await browser.postAndFollow('/settings/second-factor', { password: PASSWORD });
    const totp = totpFromPage(await page.text());
    const code = await totp();
    expect((await browser.post('/settings/second-factor/confirm', { code })).status).toBe(303);
    expect(await signInWith(email, code)).toBe(422);
    expect(await signInWith(email, await totp(1))).toBe(303);
  });

  it('that was wrong takes no step', async () => {
    const { email, totp } = await withSecondFactor();
    expect(await signInWith(email, await totp(40))).toBe(422);
    expect(await signInWith(email, await totp())).toBe(303);
  });
});

it('its secret is shown once: a wrong code leaves the app’s, or a new start', async () => {
  const browser = new Browser();
  await browser.signUp();
  expect(await (await browser.get('/settings')).text()).toContain(en.people.settings.begin);
  const shown = await browser.postAndFollow('/settings/second-factor', { password: PASSWORD });
  const totp = totpFromPage(await shown.text());
  const refused = await browser.post('/settings/second-factor/confirm', { code: await totp(40) });
  const page = await refused.text();
  expect(refused.status).toBe(422);
  expect(page).not.toContain('data-secret');
  expect(page).toContain(en.people.settings.scanned);
  expect(page).toMatch(new RegExp(`href="/settings/second-factor"[^>]*>\\s*${en.people.settings.startOver}`));
  await browser.post('/settings/second-factor/confirm', { code: await totp() });
  expect(await (await browser.get('/settings')).text()).toContain(en.people.settings.manage);
});

describe('a backup code', () => {
  it('is stored as a hash, has 120 bits and works once, typed in any case', async () => {
    const { email, codes } = await withSecondFactor();
    expect(codes).toHaveLength(10);
    expect(new Set(codes.map((code) => code.replaceAll(/[0-9a-hjkmnp-tv-z]/g, 'x')))).toEqual(
      new Set(['xxxxxx-xxxxxx-xxxxxx-xxxxxx']),
    );
    const { backup_codes: stored } = await rowOf(email);
    for (const code of codes) {
      expect(stored).not.toContain(code);
      expect(stored).not.toContain(code.replaceAll('-', ''));
    }
    const hashes = JSON.parse(stored) as string[];
    expect(hashes).toHaveLength(10);
    expect(hashes.every((hash) => /^sha256:[\w-]{43}$/.test(hash))).toBe(true);
    expect(await signInWith(email, hashes[0]!)).toBe(422);
    expect(await signInWith(email, codes[0]!.toUpperCase().replaceAll('-', ' '))).toBe(303);
    expect(await signInWith(email, codes[0]!)).toBe(422);
    expect(await signInWith(email, codes[1]!)).toBe(303);
    expect(JSON.parse((await rowOf(email)).backup_codes)).toEqual(hashes.slice(2));
  });

  it('is accepted from one of several sign-ins at once', async () => {
    const { email, codes } = await withSecondFactor();
    const statuses = await Promise.all(Array.from({ length: 4 }, () => signInWith(email, codes[0]!)));
    expect(statuses.filter((status) => status === 303)).toHaveLength(1);
  });

  it('from before, when they were encrypted, still works, and its use hashes the others', async () => {
    const { email } = await withSecondFactor();
    const older = ['aBcDe-12345', 'FgHiJ-67890'];
    const sealed = await symmetricEncrypt({ key: config(bindings).authSecret, data: JSON.stringify(older) });
    await bindings.DB.prepare(
      'UPDATE person_two_factor SET backup_codes = ? WHERE person_id = (SELECT id FROM person WHERE email = ?)',
    )
      .bind(sealed, email)
      .run();
    expect(await signInWith(email, 'abcde-12345')).toBe(422);
    expect(await signInWith(email, older[0]!)).toBe(303);
    expect((await rowOf(email)).backup_codes).toMatch(/^\["sha256:[\w-]{43}"\]$/);
    expect(await signInWith(email, older[0]!)).toBe(422);
    expect(await signInWith(email, older[1]!)).toBe(303);
  });

  it('is replaced by new ones, which need the password, are shown once and reported by e-mail', async () => {
    const harness = new TaskHarness();
    const { browser, email, codes } = await withSecondFactor(new Browser('en', harness.env));
    const path = '/settings/second-factor/codes';
    expect((await browser.post(path, { password: 'wrong horse battery' })).status).toBe(422);
    const shown = await (await browser.postAndFollow(path, { password: PASSWORD })).text();
    const renewed = codesOf(shown);
    expect(renewed).toHaveLength(10);
    expect((await browser.get(path)).headers.get('location')).toBe('/settings/second-factor');
    expect(await signInWith(email, codes[0]!)).toBe(422);
    expect(await signInWith(email, renewed[0]!)).toBe(303);
    await harness.drain();
    expect(harness.emails.at(-1)!.text).toContain(en.emails.signInChanged.what.backup_codes);
  });
});

it('turning the factor on or off ends the person’s other sessions and keeps the current one', async () => {
  const { browser, email } = await withSecondFactor();
  const old = new Browser();
  await bindings.DB.prepare('UPDATE person SET two_factor_enabled = 0 WHERE email = ?').bind(email).run();
  await old.post('/sign-in', { email, password: PASSWORD });
  await bindings.DB.prepare('UPDATE person SET two_factor_enabled = 1 WHERE email = ?').bind(email).run();
  expect((await old.get('/settings')).status).toBe(200);
  expect((await browser.post('/settings/second-factor', { password: PASSWORD })).status).toBe(303);
  expect((await browser.get('/settings')).status).toBe(200);
  expect((await old.get('/settings')).status).toBe(303);

  await old.post('/sign-in', { email, password: PASSWORD });
  const page = await browser.postAndFollow('/settings/second-factor', { password: PASSWORD });
  const code = await totpFromPage(await page.text())();
  expect((await old.get('/settings')).status).toBe(200);
  expect((await browser.post('/settings/second-factor/confirm', { code })).status).toBe(303);
  expect((await browser.get('/settings')).status).toBe(200);
  expect((await old.get('/settings')).status).toBe(303);
});
