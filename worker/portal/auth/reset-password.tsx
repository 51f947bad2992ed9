/** Resets a forgotten password through a link in an e-mail. Setting the new password ends every session. */
import { Hono } from 'hono';
import * as z from 'zod';
import { askForPasswordReset, resetPassword } from '../../identity/credentials.ts';
import { TextField } from '../components/field.tsx';
import { TooManyAttempts } from '../components/too-many-attempts.tsx';
import { type PortalContext, type PortalEnv, words } from '../frame/context.ts';
import { type Faults, NewPassword, readForm } from '../frame/form.ts';
import { page } from '../frame/layout.tsx';
import { setCookies } from '../frame/set-cookies.ts';
import { answerEmail, askEmail, linkOver } from './ask-email.tsx';
import { passwordHint } from './password-hint.ts';

const PasswordForm = z.object({ password: NewPassword });

export const resetPasswordPage = new Hono<PortalEnv>();

resetPasswordPage.get('/', (c) => askEmail(c, words(c).t.people.reset));

resetPasswordPage.post('/', (c) =>
  answerEmail(c, words(c).t.people.reset, (email) => {
    const { locale } = words(c);
    return askForPasswordReset(c.env, { email, locale, headers: c.req.raw.headers, nowMs: Date.now() });
  }),
);

resetPasswordPage.get('/:token', (c) => showForm(c));

resetPasswordPage.post('/:token', async (c) => {
  const read = await readForm(c, PasswordForm);
  if (!read.ok) return showForm(c, read.faults);
  const request = { token: c.req.param('token'), password: read.values.password };
  const result = await resetPassword(c.env, { ...request, headers: c.req.raw.headers, nowMs: Date.now() });
  if (result.ok) {
    setCookies(c, result.cookies);
    return c.redirect('/sign-in?reset', 303);
  }
  if (result.reason === 'over') return linkOver(c, '/reset-password');
  if (result.reason === 'weak_password') return showForm(c, { password: result.fault });
  return showForm(c, undefined, result.retryAfterMs);
});

function showForm(c: PortalContext, faults?: Faults, waitMs = 0) {
  const { t } = words(c);
  const names = t.people.reset;
  return page(
    c,
    { title: names.title, narrow: true, status: waitMs > 0 ? 429 : faults ? 422 : 200 },
    <>
      <h1 class="mb-6">{names.title}</h1>
      {waitMs > 0 && <TooManyAttempts c={c} waitMs={waitMs} />}
      <form method="post" class="grid gap-5" novalidate>
        <TextField
          c={c}
          faults={faults}
          name="password"
          label={names.password}
          hint={passwordHint(c)}
          type="password"
          autocomplete="new-password"
          required
        />
        <button class="btn btn-primary" type="submit">
          {names.save}
        </button>
      </form>
    </>,
  );
}
