/** Settings of the person: profile, password, second factor, sessions, and the account's data. */
import { Hono } from 'hono';
import * as z from 'zod';
import { database } from '../../db/client.ts';
import { changeName, hasPassword, setLocale } from '../../db/people.ts';
import { LOCALES } from '../../i18n/locale.ts';
import { askForVerification, changePassword } from '../../identity/credentials.ts';
import { endOtherSessions, endSession, listSessions } from '../../identity/sessions.ts';
import { changedBy } from '../auth/changed-by.ts';
import { Callout } from '../components/callout.tsx';
import { TooManyAttempts } from '../components/too-many-attempts.tsx';
import { type PortalContext, type PortalEnv, words } from '../frame/context.ts';
import { Choice, type Faults, Name, NewPassword, readForm, type Typed } from '../frame/form.ts';
import { rememberLanguage, signedIn } from '../frame/guard.ts';
import { page } from '../frame/layout.tsx';
import { notFoundPage } from '../frame/not-found.tsx';
import { setCookies } from '../frame/set-cookies.ts';
import { SessionSection } from './session-list.tsx';
import { DataSection, PasswordSection, ProfileSection, SecondFactorSection } from './settings-sections.tsx';

const ProfileForm = z.object({ name: Name, language: Choice(LOCALES) });
const PasswordForm = z.object({ current: z.string(), password: NewPassword });

export const settingsPage = new Hono<PortalEnv>();

settingsPage.use(signedIn);

settingsPage.get('/', (c) => show(c, {}));

settingsPage.post('/profile', async (c) => {
  const read = await readForm(c, ProfileForm);
  if (!read.ok) return show(c, read);
  const { name, language } = read.values;
  const db = database(c.env);
  const { id } = c.get('person')!;
  await Promise.all([changeName(db, { personId: id, name, nowMs: Date.now() }), setLocale(db, id, language)]);
  rememberLanguage(c, language);
  return c.redirect('/settings?done=saved', 303);
});

settingsPage.post('/verify', async (c) => {
  const { email } = c.get('person')!;
  const request = { email, locale: words(c).locale, headers: c.req.raw.headers, nowMs: Date.now() };
  const waitMs = await askForVerification(c.env, request);
  return waitMs > 0 ? show(c, { waitMs }) : c.redirect('/settings?done=verifySent', 303);
});

settingsPage.post('/password', async (c) => {
  const read = await readForm(c, PasswordForm);
  if (!read.ok) return show(c, { faults: read.faults });
  const { current, password: next } = read.values;
  const changed = await changePassword(c.env, { ...changedBy(c), current, next });
  if (!changed.ok) {
    if (changed.retryAfterMs !== undefined) return show(c, { waitMs: changed.retryAfterMs });
    const field = changed.fault === 'password_wrong' ? 'current' : 'password';
    return show(c, { faults: { [field]: changed.fault } });
  }
  setCookies(c, changed.cookies);
  return c.redirect('/settings?done=passwordChanged', 303);
});

settingsPage.post('/sessions/others', async (c) => {
  await endOtherSessions(c.env, { personId: c.get('person')!.id, sessionId: c.get('sessionId') });
  return c.redirect('/settings?done=sessionEnded', 303);
});

settingsPage.post('/sessions/:sessionId', async (c) => {
  const which = { personId: c.get('person')!.id, sessionId: c.req.param('sessionId') };
  if (!(await endSession(c.env, which))) return notFoundPage(c);
  return c.redirect('/settings?done=sessionEnded', 303);
});

/** Values of the query `done`, each with a confirming text. */
const DONE = ['saved', 'verifySent', 'passwordChanged', 'sessionEnded', 'on', 'off'] as const;

async function show(c: PortalContext, state: { typed?: Typed; faults?: Faults; waitMs?: number }) {
  const { t } = words(c);
  const names = t.people.settings;
  const person = c.get('person')!;
  const { waitMs = 0, faults } = state;
  const done = DONE.find((each) => each === c.req.query('done'));
  const [sessions, withPassword] = await Promise.all([
    listSessions(c.env, person, Date.now()),
    hasPassword(database(c.env), person.id),
  ]);
  const fields = { c, typed: state.typed, faults };
  return page(
    c,
    { title: names.title, status: waitMs > 0 ? 429 : faults ? 422 : 200, back: '/settings' },
    <>
      <h1 class="mb-2">{names.title}</h1>
      <p class="mb-8">{names.lead}</p>
      {done && <Callout tone="success">{names[done]}</Callout>}
      {waitMs > 0 && <TooManyAttempts c={c} waitMs={waitMs} />}
      {faults && <Callout tone="error">{t.faults.summary}</Callout>}
      <div class="grid gap-12 lg:grid-cols-2">
        <ProfileSection {...fields} />
        <PasswordSection {...fields} hasPassword={withPassword} />
        <SecondFactorSection c={c} hasPassword={withPassword} />
        <DataSection c={c} />
      </div>
      <SessionSection c={c} sessions={sessions} />
    </>,
  );
}
