/** Letters that let people in: each link once, the same answer whoever is there, and never around a second factor. */
import { beforeEach, expect, it } from 'vitest';
import { MESSAGES } from '../../../worker/i18n/locale.ts';
import { authenticator } from '../identity/authenticator.ts';
import { Desk, WITHOUT_MAIL } from '../notifications/fixtures.ts';
import { Browser, bindings, newEmail, PASSWORD } from './browser.ts';

const { en, fr } = MESSAGES;

let desk: Desk;
beforeEach(() => {
  desk = new Desk();
});

const browser = (language = 'en') => new Browser(language, desk.env);

/** The letters that lie in the queue, delivered; then the only one to that address since the last look. */
async function letterTo(email: string) {
  await desk.drain();
  const mine = desk.letters.splice(0).filter(({ to }) => to === email);
  expect(mine).toHaveLength(1);
  const path = mine[0]!.text.match(/https:\/\/tollgate\.test(\/\S*)/)?.[1];
  return { ...mine[0]!, path: path ?? '' };
}

/** Somebody who has signed up, confirmed their address and signed out. */
async function known(language = 'en') {
  const at = browser(language);
  const { email } = await at.signUp();
  const { path } = await letterTo(email);
  expect((await at.get(path)).status).toBe(200);
  return { email, at };
}

it('a new address gets one letter that confirms it, in the language of the page', async () => {
  const at = browser('fr');
  const { email } = await at.signUp();
  expect(await (await at.get('/settings')).text()).toContain(fr.people.settings.unverified);
  const letter = await letterTo(email);
  expect(letter.subject).toBe(`Tollgate: ${fr.emails.verify.title}`);
  expect(letter.html).toContain('<html lang="fr">');
  const opened = await at.get(letter.path);
  expect(await opened.text()).toContain(fr.people.verify.doneTitle);
  expect(await (await at.get('/settings')).text()).not.toContain(fr.people.settings.unverified);
  expect((await at.get(`${letter.path}x`)).status).toBe(410);
});

it('a link signs in once, after a click: opening it spends nothing', async () => {
  const { email } = await known();
  const at = browser();
  expect((await at.post('/sign-in/link', { email })).status).toBe(200);
  const { path } = await letterTo(email);
  for (const _ of 'scanned') expect((await at.get(path)).status).toBe(200);
  expect((await at.get('/settings')).status).toBe(303);
  const signedIn = await at.post(path, {});
  expect([signedIn.status, signedIn.headers.get('location')]).toEqual([303, '/usage']);
  expect((await at.get('/settings')).status).toBe(200);
  expect((await browser().post(path, {})).status).toBe(410);
});

it('says the same to a stranger, and writes to nobody', async () => {
  const { email } = await known();
  for (const path of ['/sign-in/link', '/reset-password']) {
    const stranger = newEmail();
    const answers = await Promise.all([email, stranger].map((each) => browser().post(path, { email: each })));
    const [here, there] = await Promise.all(answers.map((answer) => answer.text()));
    expect(there!.replaceAll(stranger, '')).toBe(here!.replaceAll(email, ''));
    await desk.drain();
    expect(desk.letters.splice(0).map(({ to }) => to)).toEqual([email]);
  }
});

it('takes away the password of an address that was never confirmed, and says so', async () => {
  const { email } = await browser().signUp();
  await desk.drain();
  desk.letters.splice(0);
  const at = browser();
  await at.post('/sign-in/link', { email });
  const { path, text } = await letterTo(email);
  expect(text).toContain(en.emails.signIn.unverified);
  await at.post(path, {});
  expect(await (await at.get('/settings')).text()).toContain(en.people.settings.noPassword);
  expect((await browser().post('/sign-in', { email, password: PASSWORD })).status).toBe(422);
});

it('sets a new password once, and ends every session', async () => {
  const { email, at } = await known();
  await browser().post('/reset-password', { email });
  const { path } = await letterTo(email);
  expect((await browser().post(path, { password: 'short' })).status).toBe(422);
  expect((await browser().post(path, { password: 'another horse battery' })).headers.get('location')).toBe(
    '/sign-in?reset',
  );
  expect((await at.get('/settings')).status).toBe(303);
  expect((await browser().post(path, { password: 'a third horse battery' })).status).toBe(410);
  expect((await browser().post('/sign-in', { email, password: PASSWORD })).status).toBe(422);
  expect((await browser().post('/sign-in', { email, password: 'another horse battery' })).status).toBe(303);
});

it('keeps no link in the database', async () => {
  const { email } = await known();
  await browser().post('/reset-password', { email });
  const reset = await letterTo(email);
  await browser().post('/sign-in/link', { email });
  const link = await letterTo(email);
  const { results } = await bindings.DB.prepare('SELECT * FROM person_verification').all();
  for (const { path } of [reset, link]) expect(JSON.stringify(results)).not.toContain(path.split('/').at(-1));
});

it('does not flood an inbox', async () => {
  const at = browser();
  const answers: number[] = [];
  for (let i = 0; i < 12; i++) answers.push((await at.post('/sign-in/link', { email: newEmail() })).status);
  expect(answers.slice(0, 10)).toEqual(Array(10).fill(200));
  expect(answers.slice(10)).toEqual([429, 429]);
});

it('says that it sends none where nothing is set up, and the page still stands', async () => {
  const env = { ...desk.env, ...WITHOUT_MAIL };
  const text = await (await new Browser('en', env as never).get('/sign-in/link')).text();
  expect(text).toContain(en.people.noLetters);
});

it('asks for a code after the password, and lets nobody around it', async () => {
  const { email, at } = await known();
  expect((await at.post('/settings/second-factor', { password: 'wrong horse battery' })).status).toBe(422);
  const page = await (await at.postAndFollow('/settings/second-factor', { password: PASSWORD })).text();
  const totp = authenticator(page);
  const spare = page.match(/data-codes[^>]*>(.*?)<\/ul>/s)![1]!.match(/[\w-]{8,}/g)![0]!;
  expect(await (await at.get('/settings/second-factor/confirm')).text()).not.toContain('data-secret');
  expect((await at.post('/settings/second-factor/confirm', { code: '000000' })).status).toBe(422);
  expect((await at.post('/settings/second-factor/confirm', { code: await totp() })).status).toBe(303);
  expect((await letterTo(email)).text).toContain(en.emails.signInChanged.what.second_factor_on);

  const other = browser();
  const first = await other.post('/sign-in', { email, password: PASSWORD, next: '/keys' });
  expect(first.headers.get('location')).toBe('/sign-in/code?next=%2Fkeys');
  expect((await other.get('/settings')).status).toBe(303);
  expect((await other.post('/sign-in/code', { code: '000000' })).status).toBe(422);
  const second = await other.post('/sign-in/code', { code: await totp(), next: '/keys' });
  expect(second.headers.get('location')).toBe('/keys');
  expect((await other.get('/settings')).status).toBe(200);

  const lost = browser();
  await lost.post('/sign-in', { email, password: PASSWORD });
  expect((await lost.post('/sign-in/code', { code: spare })).status).toBe(303);
  const again = browser();
  await again.post('/sign-in', { email, password: PASSWORD });
  expect((await again.post('/sign-in/code', { code: spare })).status).toBe(422);

  // a link in a letter stands for the password, never for the code
  await browser().post('/sign-in/link', { email });
  await desk.drain();
  expect(desk.letters).toEqual([]);

  expect((await other.post('/settings/second-factor', { password: PASSWORD })).status).toBe(303);
  expect((await browser().post('/sign-in', { email, password: PASSWORD })).headers.get('location')).toBe(
    '/usage',
  );
});

it('gives up after some wrong codes: the password is asked for again', async () => {
  const { email, at } = await known();
  const page = await at.postAndFollow('/settings/second-factor', { password: PASSWORD });
  const code = await authenticator(await page.text())();
  await at.post('/settings/second-factor/confirm', { code });
  const thief = browser();
  await thief.post('/sign-in', { email, password: PASSWORD });
  for (let i = 0; i < 6; i++) await thief.post('/sign-in/code', { code: '000000' });
  const answer = await thief.post('/sign-in/code', { code });
  expect(answer.status).toBe(422);
  expect(await answer.text()).toContain(en.people.code.over);
});

it('ends one session, or all others, and nobody else’s', async () => {
  const { email, at } = await known();
  const [phone, office, stranger] = [browser(), browser(), browser()];
  for (const each of [phone, office]) await each.post('/sign-in', { email, password: PASSWORD });
  await stranger.signUp();
  const ids = [...(await (await at.get('/settings')).text()).matchAll(/sessions\/(\w{20,})"/g)].map(
    (m) => m[1],
  );
  expect(ids).toHaveLength(2);
  expect((await stranger.post(`/settings/sessions/${ids[0]}`, {})).status).toBe(404);
  expect((await at.post(`/settings/sessions/${ids[0]}`, {})).status).toBe(303);
  const left = async () =>
    (await Promise.all([at, phone, office].map((each) => each.get('/settings')))).map(({ status }) => status);
  expect((await left()).sort()).toEqual([200, 200, 303]);
  await at.post('/settings/sessions/others', {});
  expect(await left()).toEqual([200, 303, 303]);
  expect((await stranger.get('/settings')).status).toBe(200);
});

it('changes the password for whoever knows the present one, and ends the other sessions', async () => {
  const { email, at } = await known();
  const other = browser();
  await other.post('/sign-in', { email, password: PASSWORD });
  const change = (current: string) =>
    at.post('/settings/password', { current, password: 'another horse battery' });
  expect((await change('wrong')).status).toBe(422);
  expect((await change(PASSWORD)).headers.get('location')).toBe('/settings?done=passwordChanged');
  expect((await at.get('/settings')).status).toBe(200);
  expect((await other.get('/settings')).status).toBe(303);
  expect((await letterTo(email)).text).toContain(en.emails.signInChanged.what.password);
});
