/** Settings: the person, how they sign in, where they are signed in, and what is kept about their account. */
import { Hono } from 'hono';
import * as z from 'zod';
import { database } from '../../db/client.ts';
import { changeName, hasPassword, setLocale } from '../../db/people.ts';
import { LOCALE_NAMES, LOCALES } from '../../i18n/locale.ts';
import { askForVerification, changePassword } from '../../identity/credentials.ts';
import { endOtherSessions, endSession, listSessions, type SessionRow } from '../../identity/sessions.ts';
import { passwordHint } from '../auth/password-hint.ts';
import { Callout } from '../components/callout.tsx';
import { SelectField, TextField } from '../components/field.tsx';
import { Heads, Sheet } from '../components/sheet.tsx';
import { type PortalContext, type PortalEnv, words } from '../frame/context.ts';
import { Choice, type Faults, Name, NewPassword, readForm, type Typed } from '../frame/form.ts';
import { mayWrite, rememberLanguage, signedIn } from '../frame/guard.ts';
import { page } from '../frame/layout.tsx';
import { notFoundPage } from '../frame/not-found.tsx';

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
  const asked = { email, locale: words(c).locale, headers: c.req.raw.headers, nowMs: Date.now() };
  const waitMs = await askForVerification(c.env, asked);
  return waitMs > 0 ? show(c, { waitMs }) : c.redirect('/settings?done=verifySent', 303);
});

settingsPage.post('/password', async (c) => {
  const read = await readForm(c, PasswordForm);
  if (!read.ok) return show(c, { faults: read.faults });
  const cookies = await changePassword(c.env, {
    person: c.get('person')!,
    current: read.values.current,
    next: read.values.password,
    locale: words(c).locale,
    headers: c.req.raw.headers,
    nowMs: Date.now(),
  });
  if (cookies === null) return show(c, { faults: { current: 'password_wrong' } });
  for (const cookie of cookies) c.header('Set-Cookie', cookie, { append: true });
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

const DONE = ['saved', 'verifySent', 'passwordChanged', 'sessionEnded', 'on', 'off'] as const;

async function show(c: PortalContext, state: { typed?: Typed; faults?: Faults; waitMs?: number }) {
  const { t, f, locale } = words(c);
  const names = t.people.settings;
  const person = c.get('person')!;
  const { waitMs = 0, faults } = state;
  const done = DONE.find((each) => each === c.req.query('done'));
  const [sessions, withPassword] = await Promise.all([
    listSessions(c.env, person.id, Date.now()),
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
      {waitMs > 0 && <Callout tone="error">{t.tooManyAttempts(f.duration(waitMs))}</Callout>}
      {faults && <Callout tone="error">{t.faults.summary}</Callout>}
      <div class="grid gap-12 lg:grid-cols-2">
        <section aria-labelledby="profile">
          <h2 id="profile" class="mb-4">
            {names.profile}
          </h2>
          <p class="mb-4 break-words">
            {person.email}{' '}
            <span
              class={`badge badge-sm badge-soft ${person.emailVerified ? 'badge-success' : 'badge-warning'}`}
            >
              {person.emailVerified ? names.verified : names.unverified}
            </span>
          </p>
          {!person.emailVerified && (
            <form method="post" action="/settings/verify" class="mb-6">
              <button class="btn btn-sm" type="submit">
                {names.verify}
              </button>
            </form>
          )}
          <form method="post" action="/settings/profile" class="grid gap-5" novalidate>
            <TextField {...fields} name="name" label={names.name} value={person.name} autocomplete="name" />
            <SelectField
              {...fields}
              name="language"
              label={names.language}
              value={locale}
              options={LOCALES.map((each) => [each, LOCALE_NAMES[each]])}
            />
            <div>
              <button class="btn btn-primary" type="submit">
                {names.save}
              </button>
            </div>
          </form>
        </section>
        <section aria-labelledby="password-section">
          <h2 id="password-section" class="mb-4">
            {names.password}
          </h2>
          {withPassword ? (
            <form method="post" action="/settings/password" class="grid gap-5" novalidate>
              <p>{names.passwordLead}</p>
              <TextField
                {...fields}
                name="current"
                label={names.current}
                type="password"
                autocomplete="current-password"
              />
              <TextField
                {...fields}
                name="password"
                label={names.next}
                hint={passwordHint(c)}
                type="password"
                autocomplete="new-password"
              />
              <div>
                <button class="btn" type="submit">
                  {names.changePassword}
                </button>
              </div>
            </form>
          ) : (
            <p>
              {names.noPassword}{' '}
              <a class="link" href="/reset-password">
                {t.people.reset.title}
              </a>
            </p>
          )}
        </section>
        <section aria-labelledby="second-factor">
          <h2 id="second-factor" class="mb-4">
            {names.secondFactor}
          </h2>
          <p class="mb-4">{person.twoFactor ? names.secondFactorOn : names.secondFactorOff}</p>
          {withPassword && (
            <a class="btn" href="/settings/second-factor">
              {person.twoFactor ? names.end : names.begin}
            </a>
          )}
        </section>
        <section aria-labelledby="data">
          <h2 id="data" class="mb-4">
            {names.data}
          </h2>
          {mayWrite(c, 'account') ? (
            <>
              <p class="mb-4">{names.exportLead}</p>
              <div class="flex flex-wrap gap-3">
                <a class="btn" href="/account/export" download>
                  {names.export}
                </a>
                <a class="btn btn-error btn-outline" href="/account/close">
                  {names.closeNext}
                </a>
              </div>
            </>
          ) : (
            <p>{names.notOwner}</p>
          )}
        </section>
      </div>
      <section aria-labelledby="sessions" class="mt-12">
        <h2 id="sessions" class="mb-2">
          {names.sessions}
        </h2>
        <p class="mb-4">{names.sessionsLead}</p>
        <Sessions c={c} sessions={sessions} />
        {sessions.length > 1 && (
          <form method="post" action="/settings/sessions/others" class="mt-4">
            <button class="btn btn-sm" type="submit">
              {names.endOthers}
            </button>
          </form>
        )}
      </section>
    </>,
  );
}

function Sessions({ c, sessions }: { c: PortalContext; sessions: readonly SessionRow[] }) {
  const { t, f } = words(c);
  const names = t.people.settings;
  return (
    <Sheet label={names.sessions}>
      <Heads names={[names.device, names.address, names.lastSeen, t.keys.actions]} />
      <tbody>
        {sessions.map(({ id, userAgent, ipAddress, updatedAt }) => {
          const device = deviceOf(userAgent) ?? names.unknownDevice;
          return (
            <tr>
              <th scope="row" class="font-normal">
                {device}
              </th>
              <td class="font-mono">{ipAddress || '–'}</td>
              <td>{f.dateTime(updatedAt.getTime())}</td>
              <td>
                {id === c.get('sessionId') ? (
                  names.thisOne
                ) : (
                  <form method="post" action={`/settings/sessions/${id}`}>
                    <button class="link" type="submit" aria-label={names.endSessionOf(device)}>
                      {names.endSession}
                    </button>
                  </form>
                )}
              </td>
            </tr>
          );
        })}
      </tbody>
    </Sheet>
  );
}

/** As a person would call it, from the few that there are; null: none of them. The header itself is no reading matter. */
function deviceOf(userAgent: string | null): string | null {
  if (!userAgent) return null;
  const browser = /Edg\//.test(userAgent)
    ? 'Edge'
    : /Firefox\//.test(userAgent)
      ? 'Firefox'
      : /Chrom(e|ium)\//.test(userAgent)
        ? 'Chrome'
        : /Safari\//.test(userAgent)
          ? 'Safari'
          : null;
  const system = ['iPhone', 'iPad', 'Android', 'Windows', 'Mac OS X', 'Linux'].find((each) =>
    userAgent.includes(each),
  );
  return browser && [browser, system?.replace('Mac OS X', 'macOS')].filter(Boolean).join(', ');
}
