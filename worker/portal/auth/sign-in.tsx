/** Sign-in and sign-out. One sentence for an unknown e-mail and a wrong password. */
import { Hono } from 'hono';
import { PASSWORD_LENGTH_MAX } from '../../identity/auth.ts';
import { type SessionRefusal, signIn, signOut } from '../../identity/session.ts';
import { Callout } from '../components/callout.tsx';
import { TextField } from '../components/field.tsx';
import { type PortalContext, type PortalEnv, words } from '../frame/context.ts';
import { type Typed, typedFields } from '../frame/form.ts';
import { safePath } from '../frame/guard.ts';
import { page } from '../frame/layout.tsx';
import { GithubButton } from './github-button.tsx';

/** Where a person lands who came for no page in particular. */
const HOME = '/usage';

export const signInPage = new Hono<PortalEnv>();

signInPage.get('/sign-in', (c) =>
  c.get('person') ? c.redirect(safePath(c.req.query('next'), HOME), 303) : form(c, {}),
);

signInPage.post('/sign-in', async (c) => {
  const typed = await typedFields(c);
  const { email = '', password = '' } = typed;
  if (!email || !password || password.length > PASSWORD_LENGTH_MAX) {
    return form(c, { typed, refusal: { reason: 'wrong_credentials' } });
  }
  const result = await signIn(c.env, { email, password, headers: c.req.raw.headers, nowMs: Date.now() });
  if (!result.ok && result.refusal.reason === 'second_factor') {
    for (const cookie of result.refusal.cookies) c.header('Set-Cookie', cookie, { append: true });
    const next = safePath(typed.next, '');
    return c.redirect(`/sign-in/code${next && `?next=${encodeURIComponent(next)}`}`, 303);
  }
  if (!result.ok) return form(c, { typed, refusal: result.refusal });
  // a session that was here before ends: the browser holds one, and it is new
  if (c.get('person')) await signOut(c.env, c.req.raw.headers);
  for (const cookie of result.cookies) c.header('Set-Cookie', cookie, { append: true });
  return c.redirect(safePath(typed.next, HOME), 303);
});

signInPage.post('/sign-out', async (c) => {
  for (const cookie of await signOut(c.env, c.req.raw.headers))
    c.header('Set-Cookie', cookie, { append: true });
  return c.redirect('/', 303);
});

function form(c: PortalContext, state: { typed?: Typed; refusal?: SessionRefusal }) {
  const { t, f } = words(c);
  const { refusal, typed } = state;
  const next = typed?.next ?? c.req.query('next') ?? '';
  const waiting = refusal?.reason === 'too_many_attempts' ? refusal.retryAfterMs : null;
  return page(
    c,
    { title: t.signIn.title, narrow: true, status: waiting !== null ? 429 : refusal ? 422 : 200 },
    <>
      <h1 class="mb-6">{t.signIn.title}</h1>
      {c.req.query('reset') !== undefined && <Callout tone="success">{t.people.reset.saved}</Callout>}
      {waiting !== null && <Callout tone="error">{t.tooManyAttempts(f.duration(waiting))}</Callout>}
      {refusal && waiting === null && <Callout tone="error">{t.signIn.wrong}</Callout>}
      <form method="post" action="/sign-in" class="grid gap-5">
        {next && <input type="hidden" name="next" value={next} />}
        <TextField
          c={c}
          typed={typed}
          name="email"
          label={t.signUp.email}
          type="email"
          autocomplete="username"
          required
        />
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
        <a class="link" href={next ? `/sign-up?next=${encodeURIComponent(next)}` : '/sign-up'}>
          {t.signUp.title}
        </a>
      </p>
    </>,
  );
}
