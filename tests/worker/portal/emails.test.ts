/**
 * E-mails with links that sign people in: each link works once, responses do not reveal who has an account, and no link
 * bypasses a second factor.
 */
import { beforeEach, expect, it, vi } from 'vitest';
import { RATE_RULES } from '../../../worker/domain/rate-limit.ts';
import { MESSAGES } from '../../../worker/i18n/locale.ts';
import { holdTimeStep, totpFromPage } from '../identity/authenticator.ts';
import { TaskHarness, WITHOUT_MAIL } from '../notifications/fixtures.ts';
import { Browser, bindings, newEmail, PASSWORD } from './browser.ts';

const { en, fr } = MESSAGES;

holdTimeStep();

let harness: TaskHarness;
beforeEach(() => {
  harness = new TaskHarness();
});

const newBrowser = (language = 'en') => new Browser(language, harness.env);

/** Delivers the queue. @returns the only new e-mail to that address, with the path of its link */
async function emailTo(email: string) {
  await harness.drain();
  const received = harness.emails.splice(0).filter(({ to }) => to === email);
  expect(received).toHaveLength(1);
  const path = received[0]!.text.match(/https:\/\/tollgate\.test(\/\S*)/)?.[1];
  return { ...received[0]!, path: path ?? '' };
}

/** A person who has signed up and confirmed their address. */
async function confirmedPerson(language = 'en') {
  const browser = newBrowser(language);
  const { email } = await browser.signUp();
  const { path } = await emailTo(email);
  expect((await browser.post(path, {})).status).toBe(200);
  return { email, browser };
}

it('a new address gets one e-mail to confirm it, in the language of the page', async () => {
  const browser = newBrowser('fr');
  const { email } = await browser.signUp();
  expect(await (await browser.get('/settings')).text()).toContain(fr.people.settings.unverified);
  const message = await emailTo(email);
  expect(message.subject).toBe(`Tollgate: ${fr.emails.verify.title}`);
  expect(message.html).toContain('<html lang="fr">');
  for (const _ of 'scanned') {
    expect(await (await browser.get(message.path)).text()).toContain(fr.people.verify.confirm);
    expect(await (await browser.get('/settings')).text()).toContain(fr.people.settings.unverified);
  }
  for (const _ of 'twice') {
    const confirmed = await browser.post(message.path, {});
    expect(await confirmed.text()).toContain(fr.people.verify.doneTitle);
  }
  expect(await (await browser.get('/settings')).text()).not.toContain(fr.people.settings.unverified);
  expect((await browser.post(`${message.path}x`, {})).status).toBe(410);
});

it('a link signs in once, after a click; opening the page does not use it up', async () => {
  const { email } = await confirmedPerson();
  const browser = newBrowser();
  expect((await browser.post('/sign-in/link', { email })).status).toBe(200);
  const { path } = await emailTo(email);
  for (const _ of 'scanned') expect((await browser.get(path)).status).toBe(200);
  expect((await browser.get('/settings')).status).toBe(303);
  const signedIn = await browser.post(path, {});
  expect([signedIn.status, signedIn.headers.get('location')]).toEqual([303, '/usage']);
  expect((await browser.get('/settings')).status).toBe(200);
  expect((await newBrowser().post(path, {})).status).toBe(410);
});

it('a link signs in for ten minutes', async () => {
  const { email } = await confirmedPerson();
  const browser = newBrowser();
  await browser.post('/sign-in/link', { email });
  const { path, text } = await emailTo(email);
  expect(text).toContain('10 minutes');
  vi.setSystemTime(Date.now() + 10 * 60_000 + 1);
  expect((await browser.post(path, {})).status).toBe(410);
  vi.useRealTimers();
  expect((await browser.post(path, {})).status).toBe(410);
});

it('responds the same for an unknown address, and sends no e-mail', async () => {
  const { email } = await confirmedPerson();
  for (const path of ['/sign-in/link', '/reset-password']) {
    const stranger = newEmail();
    const responses = await Promise.all(
      [email, stranger].map((each) => newBrowser().post(path, { email: each })),
    );
    const [known, unknown] = await Promise.all(responses.map((response) => response.text()));
    expect(unknown!.replaceAll(stranger, '')).toBe(known!.replaceAll(email, ''));
    await harness.drain();
    expect(harness.emails.splice(0).map(({ to }) => to)).toEqual([email]);
  }
});

it('removes the password of an address that was never confirmed, and the e-mail says so', async () => {
  const { email } = await newBrowser().signUp();
  await harness.drain();
  harness.emails.splice(0);
  const browser = newBrowser();
  await browser.post('/sign-in/link', { email });
  const { path, text } = await emailTo(email);
  expect(text).toContain(en.emails.signIn.unverified);
  await browser.post(path, {});
  expect(await (await browser.get('/settings')).text()).toContain(en.people.settings.noPassword);
  expect((await newBrowser().post('/sign-in', { email, password: PASSWORD })).status).toBe(422);
});

it('sets a new password once, and ends every session', async () => {
  const { email, browser } = await confirmedPerson();
  await newBrowser().post('/reset-password', { email });
  const { path } = await emailTo(email);
  expect((await newBrowser().post(path, { password: 'short' })).status).toBe(422);
  expect((await newBrowser().post(path, { password: 'another horse battery' })).headers.get('location')).toBe(
    '/sign-in?reset',
  );
  expect((await browser.get('/settings')).status).toBe(303);
  expect((await newBrowser().post(path, { password: 'a third horse battery' })).status).toBe(410);
  expect((await newBrowser().post('/sign-in', { email, password: PASSWORD })).status).toBe(422);
  expect((await newBrowser().post('/sign-in', { email, password: 'another horse battery' })).status).toBe(
    303,
  );
});

it('stores no link in the database', async () => {
  const { email } = await confirmedPerson();
  await newBrowser().post('/reset-password', { email });
  const reset = await emailTo(email);
  await newBrowser().post('/sign-in/link', { email });
  const link = await emailTo(email);
  const { results } = await bindings.DB.prepare('SELECT * FROM person_verification').all();
  for (const { path } of [reset, link]) expect(JSON.stringify(results)).not.toContain(path.split('/').at(-1));
});

it('does not send from one network to many inboxes', async () => {
  const browser = newBrowser();
  const answers: number[] = [];
  const limit = RATE_RULES.email_network.sharedCount;
  for (let i = 0; i < limit + 2; i++)
    answers.push((await browser.post('/sign-in/link', { email: newEmail() })).status);
  expect(answers).toEqual([...Array(limit).fill(200), 429, 429]);
});

it('does not flood an inbox from many networks, and answers alike whether anybody has it', async () => {
  const { email } = await newBrowser().signUp('Ada');
  const asked = async (inbox: string, paths: string[]) => {
    const statuses: number[] = [];
    for (const path of paths) statuses.push((await newBrowser().post(path, { email: inbox })).status);
    return statuses;
  };
  const paths = Array.from({ length: 30 }, (_, i) => (i % 2 ? '/sign-in/link' : '/reset-password'));
  const known = await asked(email, paths);
  // the e-mail of the sign-up was the first
  const limit = RATE_RULES.email_recipient.count;
  expect(known).toEqual([...Array(limit - 1).fill(200), ...Array(30 - limit + 1).fill(429)]);
  expect(await asked(newEmail(), paths)).toEqual([...Array(limit).fill(200), ...Array(30 - limit).fill(429)]);
});

it('shows a notice when no mail service is set up', async () => {
  const env = { ...harness.env, ...WITHOUT_MAIL };
  const text = await (await new Browser('en', env as never).get('/sign-in/link')).text();
  expect(text).toContain(en.people.noEmail);
});

it('asks for a code after the password, and no link bypasses it', async () => {
  const { email, browser } = await confirmedPerson();
  expect((await browser.post('/settings/second-factor', { password: 'wrong horse battery' })).status).toBe(
    422,
  );
  const page = await (await browser.postAndFollow('/settings/second-factor', { password: PASSWORD })).text();
  const totp = totpFromPage(page);
  const spare = page.match(/data-codes[^>]*>(.*?)<\/ul>/s)![1]!.match(/[\w-]{8,}/g)![0]!;
  expect(await (await browser.get('/settings/second-factor/confirm')).text()).not.toContain('data-secret');
  expect((await browser.post('/settings/second-factor/confirm', { code: '000000' })).status).toBe(422);
  expect((await browser.post('/settings/second-factor/confirm', { code: await totp() })).status).toBe(303);
  expect((await emailTo(email)).text).toContain(en.emails.signInChanged.what.second_factor_on);

  const other = newBrowser();
  const first = await other.post('/sign-in', { email, password: PASSWORD, next: '/keys' });
  expect(first.headers.get('location')).toBe('/sign-in/code?next=%2Fkeys');
  expect((await other.get('/settings')).status).toBe(303);
  expect((await other.post('/sign-in/code', { code: '000000' })).status).toBe(422);
  const second = await other.post('/sign-in/code', { code: await totp(1), next: '/keys' });
  expect(second.headers.get('location')).toBe('/keys');
  expect((await other.get('/settings')).status).toBe(200);

  const lost = newBrowser();
  await lost.post('/sign-in', { email, password: PASSWORD });
  expect((await lost.post('/sign-in/code', { code: spare })).status).toBe(303);
  const again = newBrowser();
  await again.post('/sign-in', { email, password: PASSWORD });
  expect((await again.post('/sign-in/code', { code: spare })).status).toBe(422);

  // a link in an e-mail replaces the password, never the code
  await newBrowser().post('/sign-in/link', { email });
  await harness.drain();
  expect(harness.emails).toEqual([]);

  expect((await other.post('/settings/second-factor', { password: PASSWORD })).status).toBe(303);
  expect((await newBrowser().post('/sign-in', { email, password: PASSWORD })).headers.get('location')).toBe(
    '/usage',
  );
});

it('requires the password again after several wrong codes', async () => {
  const { email, browser } = await confirmedPerson();
  const page = await browser.postAndFollow('/settings/second-factor', { password: PASSWORD });
  const totp = totpFromPage(await page.text());
  await browser.post('/settings/second-factor/confirm', { code: await totp() });
  const code = await totp(1);
  const thief = newBrowser();
  await thief.post('/sign-in', { email, password: PASSWORD });
  for (let i = 0; i < 6; i++) await thief.post('/sign-in/code', { code: '000000' });
  const response = await thief.post('/sign-in/code', { code });
  expect(response.status).toBe(422);
  expect(await response.text()).toContain(en.people.code.over);
});

it('ends one session or all others, but only the person’s own', async () => {
  const { email, browser } = await confirmedPerson();
  const [phone, office, stranger] = [newBrowser(), newBrowser(), newBrowser()];
  for (const each of [phone, office]) await each.post('/sign-in', { email, password: PASSWORD });
  await stranger.signUp();
  const ids = [...(await (await browser.get('/settings')).text()).matchAll(/sessions\/(\w{20,})"/g)].map(
    (m) => m[1],
  );
  expect(ids).toHaveLength(2);
  expect((await stranger.post(`/settings/sessions/${ids[0]}`, {})).status).toBe(404);
  expect((await browser.post(`/settings/sessions/${ids[0]}`, {})).status).toBe(303);
  const left = async () =>
    (await Promise.all([browser, phone, office].map((each) => each.get('/settings')))).map(
      ({ status }) => status,
    );
  expect((await left()).sort()).toEqual([200, 200, 303]);
  await browser.post('/settings/sessions/others', {});
  expect(await left()).toEqual([200, 303, 303]);
  expect((await stranger.get('/settings')).status).toBe(200);
});

it('changes the password for a person who knows the current one, and ends the other sessions', async () => {
  const { email, browser } = await confirmedPerson();
  const other = newBrowser();
  await other.post('/sign-in', { email, password: PASSWORD });
  const change = (current: string) =>
    browser.post('/settings/password', { current, password: 'another horse battery' });
  expect((await change('wrong')).status).toBe(422);
  expect((await change(PASSWORD)).headers.get('location')).toBe('/settings?done=passwordChanged');
  expect((await browser.get('/settings')).status).toBe(200);
  expect((await other.get('/settings')).status).toBe(303);
  expect((await emailTo(email)).text).toContain(en.emails.signInChanged.what.password);
});
