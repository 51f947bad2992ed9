/** Sign-up: three fields, then an account with credit and a first key. */
import { Hono } from 'hono';
import * as z from 'zod';
import { database } from '../../db/client.ts';
import { setLocale } from '../../db/people.ts';
import { config } from '../../env.ts';
import type { Fault } from '../../i18n/en/index.ts';
import { askForVerification } from '../../identity/credentials.ts';
import { type SessionRefusal, signUp } from '../../identity/session.ts';
import { Callout } from '../components/callout.tsx';
import { TextField } from '../components/field.tsx';
import { type PortalContext, type PortalEnv, words } from '../frame/context.ts';
import { type Faults, Name, NewPassword, readForm, type Typed } from '../frame/form.ts';
import { safePath } from '../frame/guard.ts';
import { page } from '../frame/layout.tsx';
import { GithubButton } from './github-button.tsx';
import { passwordHint } from './password-hint.ts';
import { welcome } from './welcome.ts';

const fault = (word: Fault) => ({ error: word });

const SignUpForm = z.object({
  name: Name,
  email: z.email(fault('email')).max(254, fault('email')),
  password: NewPassword,
});

export const signUpPage = new Hono<PortalEnv>();

signUpPage.get('/', (c) =>
  c.get('person') ? c.redirect(safePath(c.req.query('next'), '/start'), 303) : form(c, {}),
);

signUpPage.post('/', async (c) => {
  const read = await readForm(c, SignUpForm);
  if (!read.ok) return form(c, read);
  const nowMs = Date.now();
  const result = await signUp(c.env, { ...read.values, headers: c.req.raw.headers, nowMs });
  if (!result.ok) return form(c, { typed: read.typed, refusal: result.refusal });
  for (const cookie of result.cookies) c.header('Set-Cookie', cookie, { append: true });

  // From here on the person exists: whatever fails below is made good by the next page that they open.
  const { email } = result.person;
  await setLocale(database(c.env), result.person.id, words(c).locale);
  // their session is in the answer, not in the request: this is nobody's asking, and counts as one
  await askForVerification(c.env, { email, locale: words(c).locale, headers: c.req.raw.headers, nowMs });
  return welcome(c, { person: result.person, next: safePath(read.typed.next, ''), nowMs });
});

function form(c: PortalContext, state: { typed?: Typed; faults?: Faults; refusal?: SessionRefusal }) {
  const { t, f } = words(c);
  const taken = state.refusal?.reason === 'email_taken';
  const faults: Faults = taken ? { email: 'email_taken' } : (state.faults ?? {});
  const waiting = state.refusal?.reason === 'too_many_attempts' ? state.refusal.retryAfterMs : null;
  const fields = { c, typed: state.typed, faults };
  const credit = config(c.env).trialGrantNanoUsd;
  const next = state.typed?.next ?? c.req.query('next') ?? '';
  const status = waiting !== null ? 429 : Object.keys(faults).length > 0 ? 422 : 200;
  return page(
    c,
    { title: t.signUp.title, narrow: true, status },
    <>
      <h1 class="mb-2">{t.signUp.title}</h1>
      <p class="mb-6">{credit > 0 ? t.signUp.lead(f.usd(credit)) : t.signUp.leadNoCredit}</p>
      {waiting !== null && <Callout tone="error">{t.tooManyAttempts(f.duration(waiting))}</Callout>}
      {Object.keys(faults).length > 0 && <Callout tone="error">{t.faults.summary}</Callout>}
      <form method="post" action="/sign-up" class="grid gap-5" novalidate>
        {next && <input type="hidden" name="next" value={next} />}
        <TextField {...fields} name="name" label={t.signUp.name} autocomplete="name" required />
        <TextField
          {...fields}
          name="email"
          label={t.signUp.email}
          type="email"
          autocomplete="email"
          required
        />
        <TextField
          {...fields}
          name="password"
          label={t.signUp.password}
          hint={passwordHint(c)}
          type="password"
          autocomplete="new-password"
          required
        />
        <button class="btn btn-primary" type="submit">
          {t.signUp.submit}
        </button>
      </form>
      <GithubButton c={c} next={next} />
      <p class="mt-6 text-sm">
        {t.signUp.haveOne}{' '}
        <a class="link" href={next ? `/sign-in?next=${encodeURIComponent(next)}` : '/sign-in'}>
          {t.signIn.title}
        </a>
      </p>
    </>,
  );
}
