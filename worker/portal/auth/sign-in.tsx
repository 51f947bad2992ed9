/** Sign-in and sign-out. An unknown address and a wrong password are answered with the same sentence. */
import { Hono } from 'hono';
import { config } from '../../env.ts';
import { PASSWORD_LENGTH_MAX } from '../../identity/auth.ts';
import { type SessionRefusal, signIn, signOut } from '../../identity/session.ts';
import { Callout } from '../components/callout.tsx';
import { TextField } from '../components/field.tsx';
import { TooManyAttempts } from '../components/too-many-attempts.tsx';
import { type PortalContext, type PortalEnv, words } from '../frame/context.ts';
import { type Typed, typedFields } from '../frame/form.ts';
import { safePath } from '../frame/guard.ts';
import { page } from '../frame/layout.tsx';
import { clearBrowser, setCookies } from '../frame/set-cookies.ts';
import { AcceptNote } from '../public/legal.tsx';
import { GithubButton } from './github-button.tsx';
import { EmailField, NextField, replaceSession, withNext } from './sign-in-parts.tsx';

/** The page that opens after a sign-in without `next`. */
const HOME = '/usage';

export const signInPage = new Hono<PortalEnv>();

signInPage.get('/sign-in', (c) =>
  c.get('person') ? c.redirect(safePath(c.req.query('next'), HOME), 303) : showForm(c, {}),
);

signInPage.post('/sign-in', async (c) => {
  const typed = await typedFields(c);
  const { email = '', password = '' } = typed;
  if (!email || !password || password.length > PASSWORD_LENGTH_MAX) {
    return showForm(c, { typed, refusal: { reason: 'wrong_credentials' } });
  }
  const result = await signIn(c.env, { email, password, headers: c.req.raw.headers, nowMs: Date.now() });
  if (!result.ok && result.refusal.reason === 'second_factor') {
    setCookies(c, result.refusal.cookies);
    return c.redirect(withNext('/sign-in/code', safePath(typed.next, '')), 303);
  }
  if (!result.ok) return showForm(c, { typed, refusal: result.refusal });
  await replaceSession(c, result.cookies);
  return c.redirect(safePath(typed.next, HOME), 303);
});

signInPage.post('/sign-out', async (c) => {
  setCookies(c, await signOut(c.env, c.req.raw.headers));
  clearBrowser(c);
  return c.redirect('/', 303);
});

function showForm(c: PortalContext, state: { typed?: Typed; refusal?: SessionRefusal }) {
  const { t } = words(c);
  const { refusal, typed } = state;
  const next = typed?.next ?? c.req.query('next') ?? '';
  const waitMs = refusal?.reason === 'too_many_attempts' ? refusal.retryAfterMs : null;
  return page(
    c,
    { title: t.signIn.title, narrow: true, status: waitMs !== null ? 429 : refusal ? 422 : 200 },
    <>
      <h1 class="mb-6">{t.signIn.title}</h1>
      {c.req.query('reset') !== undefined && <Callout tone="success">{t.people.reset.saved}</Callout>}
      {waitMs !== null && <TooManyAttempts c={c} waitMs={waitMs} />}
      {refusal && waitMs === null && <Callout tone="error">{t.signIn.wrong}</Callout>}
      <form method="post" action="/sign-in" class="grid gap-5">
        <NextField next={next} />
        <EmailField c={c} typed={typed} />
        <TextField
          c={c}
          name="password"
          label={t.signUp.password}
          type="password"
          autocomplete="current-password"
          required
        />
        <button class="btn btn-primary" type="submit">
          {t.signIn.submit}
        </button>
      </form>
      <GithubButton c={c} next={next} />
      {config(c.env).github && <AcceptNote c={c} />}
      <ul class="mt-6 flex flex-wrap gap-x-6 gap-y-2 text-sm">
        <li>
          <a class="link" href="/sign-in/link">
            {t.people.linkInstead}
          </a>
        </li>
        <li>
          <a class="link" href="/reset-password">
            {t.people.forgot}
          </a>
        </li>
      </ul>
      <p class="mt-4 text-sm">
        {t.signIn.none}{' '}
        <a class="link" href={withNext('/sign-up', next)}>
          {t.signUp.title}
        </a>
      </p>
    </>,
  );
}
