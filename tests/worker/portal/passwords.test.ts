/** Which passwords are refused, at every door where one is set; and that every character of a password counts. */
import { describe, expect, it } from 'vitest';
import { TaskHarness } from '../notifications/fixtures.ts';
import { Browser, bindings, newEmail, PASSWORD } from './browser.ts';

const COMMON = [
  'password123',
  // full-width and mathematical letters, which are hashed as plain ones
  'ｐａｓｓｗｏｒｄ１２３',
  '𝐩𝐚𝐬𝐬𝐰𝐨𝐫𝐝𝟏𝟐𝟑',
  'Password123',
  'PASSWORD123!',
  '1234567890',
  'qwertyuiop',
  '0987654321',
  'aaaaaaaaaaaa',
  'qwertyqwerty',
  '1q2w3e4r5t',
  'iloveyou1234',
  'abcdefghij',
  'P@ssw0rd1234',
  'VQsaBLPzLa',
];

const COMMON_FAULT = 'among the first that attackers guess';
const OWN_FAULT = 'Do not make the password from';

async function faultOf(response: Response): Promise<string> {
  const text = await response.text();
  expect(response.status).toBe(422);
  return [COMMON_FAULT, OWN_FAULT].find((each) => text.includes(each)) ?? 'none';
}

/** A way to set a password for a person with this name and address. */
type Door = (name: string, email: string) => Promise<(password: string) => Promise<Response>>;

const DOORS: Record<string, Door> = {
  'sign-up': async (name, email) => (password) => new Browser().post('/sign-up', { name, email, password }),
  'a change': async (name, email) => {
    const browser = new Browser();
    await browser.signUp(name, email);
    return (password) => browser.post('/settings/password', { current: PASSWORD, password });
  },
  'a reset': async (name, email) => {
    const harness = new TaskHarness();
    await new Browser('en', harness.env).signUp(name, email);
    await new Browser('en', harness.env).post('/reset-password', { email });
    await harness.drain();
    const path = harness.emails.at(-1)!.text.match(/\/reset-password\/\S+/)![0];
    return (password) => new Browser().post(path, { password });
  },
};

describe.each(Object.keys(DOORS))('%s', (door) => {
  it('refuses the most common passwords, in any case and with a little beside them', async () => {
    const set = await DOORS[door]!('Ada', newEmail());
    for (const password of COMMON)
      expect([password, await faultOf(await set(password))]).toEqual([password, COMMON_FAULT]);
    expect((await set('quiet analytical engine')).status).toBe(303);
  });

  it('refuses the person’s own words', async () => {
    const set = await DOORS[door]!(
      'Ada Lovelace',
      `countess.${crypto.randomUUID().slice(0, 8)}@byron-family.example`,
    );
    for (const password of ['adalovelace1815', 'Countess1815', 'byron-family', 'Tollgate2026'])
      expect([password, await faultOf(await set(password))]).toEqual([password, OWN_FAULT]);
    expect((await set('quiet analytical engine')).status).toBe(303);
  });
});

it('refuses the name of the person’s account', async () => {
  const browser = new Browser();
  await browser.signUp();
  await browser.post('/account/name', { accountName: 'Difference Works' });
  const change = { current: PASSWORD, password: 'differenceworks1' };
  expect(await faultOf(await browser.post('/settings/password', change))).toBe(OWN_FAULT);
});

it('counts every character of a password, spaces at its ends too, in each form', async () => {
  const browser = new Browser();
  const email = newEmail();
  const spaced = '  quiet analytical engine ';
  expect((await browser.post('/sign-up', { name: 'Ada', email, password: spaced })).status).toBe(303);
  expect((await new Browser().post('/sign-in', { email, password: spaced.trim() })).status).toBe(422);
  expect((await new Browser().post('/sign-in', { email, password: spaced })).status).toBe(303);
  const begun = await browser.post('/settings/second-factor', { password: spaced });
  expect(begun.headers.get('location')).toBe('/settings/second-factor/confirm');
  const next = ' another quiet engine  ';
  const refused = await browser.post('/settings/password', { current: spaced.trim(), password: next });
  expect(refused.status).toBe(422);
  expect((await browser.post('/settings/password', { current: spaced, password: next })).status).toBe(303);
  expect((await new Browser().post('/sign-in', { email, password: next })).status).toBe(303);
});

it('accepts long passwords, any script, and no particular kinds of characters', async () => {
  for (const password of [
    'x9'.repeat(4) + 'ü'.repeat(20) + '語'.repeat(36),
    'только тихие слова',
    'ninequietowls onapier',
  ]) {
    const fields = { name: 'Ada', email: newEmail(), password };
    expect([password, (await new Browser().post('/sign-up', fields)).status]).toEqual([password, 303]);
    expect((await new Browser().post('/sign-in', fields)).status).toBe(303);
  }
  const composed = { name: 'Ada', email: newEmail(), password: 'caf\u00e9 noir et silence' };
  await new Browser().post('/sign-up', composed);
  const decomposed = { ...composed, password: composed.password.normalize('NFD') };
  expect((await new Browser().post('/sign-in', decomposed)).status).toBe(303);
});

it('stores passwords hashed', async () => {
  const { email } = await new Browser().signUp();
  const row = await bindings.DB.prepare(
    'SELECT password FROM person_credential c JOIN person p ON p.id = c.person_id WHERE p.email = ?',
  )
    .bind(email)
    .first<{ password: string }>();
  expect(row!.password).toMatch(/^[0-9a-f]{32}:[0-9a-f]{128}$/);
});

it('is hidden as it is typed, and password managers may fill it in and paste it', async () => {
  const browser = new Browser();
  const signedIn = new Browser();
  await signedIn.signUp();
  const pages = [
    await browser.get('/sign-in'),
    await browser.get('/sign-up'),
    await browser.get('/reset-password/token'),
    await signedIn.get('/settings'),
    await signedIn.get('/settings/second-factor'),
    await signedIn.get('/account/close'),
  ];
  for (const page of pages) {
    const fields = (await page.text()).match(/<input[^>]*name="(password|current)"[^>]*>/g) ?? [];
    expect(fields.length).toBeGreaterThan(0);
    for (const field of fields) {
      expect(field).toMatch(/type="password"/);
      expect(field).toMatch(/autocomplete="(current|new)-password"/);
      expect(field).not.toMatch(/onpaste|readonly|maxlength/i);
    }
  }
});

it('stays valid for as long as its person wants', async () => {
  const { email, password } = await new Browser().signUp();
  const years = Date.now() - 10 * 365 * 86_400_000;
  await bindings.DB.prepare('UPDATE person_credential SET created_at = ?, updated_at = ?')
    .bind(years, years)
    .run();
  const response = await new Browser().post('/sign-in', { email, password });
  expect([response.status, response.headers.get('location')]).toEqual([303, '/usage']);
});
