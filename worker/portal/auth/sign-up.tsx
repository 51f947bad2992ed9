/** Sign-up: three fields, and in return an account with a first key. */
import { Hono } from 'hono';
import * as z from 'zod';
import { database } from '../../db/client.ts';
import { setLocale } from '../../db/people.ts';
import { askForVerification } from '../../identity/credentials.ts';
import { type SessionRefusal, signUp } from '../../identity/session.ts';
import { trialOffer } from '../../identity/trial.ts';
import { TURNSTILE_FIELD } from '../../identity/turnstile.ts';
import { Callout } from '../components/callout.tsx';
import { TextField } from '../components/field.tsx';
import { TooManyAttempts } from '../components/too-many-attempts.tsx';
import { type PortalContext, type PortalEnv, words } from '../frame/context.ts';
import { Email, type Faults, Name, NewPassword, readForm, type Typed } from '../frame/form.ts';
import { safePath } from '../frame/guard.ts';
import { page } from '../frame/layout.tsx';
import { setCookies } from '../frame/set-cookies.ts';
import { AcceptNote } from '../public/legal.tsx';
import { GithubButton } from './github-button.tsx';
import { passwordHint } from './password-hint.ts';
import { NextField, withNext } from './sign-in-parts.tsx';
import { TurnstileWidget } from './turnstile-widget.tsx';
import { welcome } from './welcome.ts';

const SignUpForm = z.object({
  name: Name,
  email: Email,
  password: NewPassword,
});

export const signUpPage = new Hono<PortalEnv>();

signUpPage.get('/', async (c) =>
  c.get('person') ? c.redirect(safePath(c.req.query('next'), '/start'), 303) : showForm(c, {}),
);

signUpPage.post('/', async (c) => {
  const read = await readForm(c, SignUpForm);
  // the form of a tab that was open before this browser signed in: a signed-in person has an account
  if (c.get('person')) return c.redirect(safePath(read.typed.next, '/start'), 303);
  if (!read.ok) return showForm(c, read);
  const nowMs = Date.now();
  const turnstileToken = read.typed[TURNSTILE_FIELD] ?? '';
  const result = await signUp(c.env, {
    ...read.values,
    turnstileToken,
    headers: c.req.raw.headers,
    nowMs,
  });
  if (!result.ok) return showForm(c, { typed: read.typed, refusal: result.refusal });
  setCookies(c, result.cookies);

  // From here on the person exists: if anything below fails, the next page that they open completes the sign-up.
  const { email } = result.person;
  await setLocale(database(c.env), result.person.id, words(c).locale);
  // the new session is in the response, not in the request, so this call is anonymous and counts as one e-mail
  await askForVerification(c.env, { email, locale: words(c).locale, headers: c.req.raw.headers, nowMs });
  return welcome(c, { person: result.person, next: safePath(read.typed.next, ''), nowMs });
});

/** The field that a refusal marks, and its fault. */
function refusedFields(refusal?: SessionRefusal): Faults {
  if (refusal?.reason === 'email_taken') return { email: 'email_taken' };
  if (refusal?.reason === 'weak_password') return { password: refusal.fault };
  if (refusal?.reason === 'turnstile') return { turnstile: refusal.fault };
  return {};
}

async function showForm(
  c: PortalContext,
  state: { typed?: Typed; faults?: Faults; refusal?: SessionRefusal },
) {
  const { t, f } = words(c);
  const faults: Faults = { ...state.faults, ...refusedFields(state.refusal) };
  const waitMs = state.refusal?.reason === 'too_many_attempts' ? state.refusal.retryAfterMs : null;
  const fields = { c, typed: state.typed, faults };
  const offer = await trialOffer(c.env, Date.now());
  const next = state.typed?.next ?? c.req.query('next') ?? '';
  const status = waitMs !== null ? 429 : Object.keys(faults).length > 0 ? 422 : 200;
  return page(
    c,
    { title: t.signUp.title, narrow: true, status },
    <>
      <h1 class="mb-2">{t.signUp.title}</h1>
      <p class="mb-6">{offer ? t.signUp.lead(f.usd(offer.amountNanoUsd)) : t.signUp.leadNoCredit}</p>
      {offer?.usedUp && <Callout tone="info">{t.trial.usedUp}</Callout>}
      {waitMs !== null && <TooManyAttempts c={c} waitMs={waitMs} />}
      {Object.keys(faults).length > 0 && (
        <Callout tone="error">{t.faults[faults.turnstile ?? 'summary']}</Callout>
      )}
      <form method="post" action="/sign-up" class="grid gap-5" novalidate>
        <NextField next={next} />
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
        <TurnstileWidget c={c} />
        <button class="btn btn-primary" type="submit">
          {t.signUp.submit}
        </button>
      </form>
      <GithubButton c={c} next={next} />
      <AcceptNote c={c} />
      <p class="mt-6 text-sm">
        {t.signUp.haveOne}{' '}
        <a class="link" href={withNext('/sign-in', next)}>
          {t.signIn.title}
        </a>
      </p>
    </>,
  );
}
