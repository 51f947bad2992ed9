/** The second step of signing in, for people with a second factor: the code. */
import { Hono } from 'hono';
import { type SessionRefusal, signInWithCode } from '../../identity/session.ts';
import { Callout } from '../components/callout.tsx';
import { TextField } from '../components/field.tsx';
import { TooManyAttempts } from '../components/too-many-attempts.tsx';
import { Contact } from '../frame/contact.tsx';
import { type PortalContext, type PortalEnv, words } from '../frame/context.ts';
import { typedFields } from '../frame/form.ts';
import { safePath } from '../frame/guard.ts';
import { page } from '../frame/layout.tsx';
import { setCookies } from '../frame/set-cookies.ts';
import { NextField, SignInLink } from './sign-in-parts.tsx';

export const signInCodePage = new Hono<PortalEnv>();

signInCodePage.get('/', (c) => showForm(c, null));

/** The page for people who have neither their app nor a backup code. */
signInCodePage.get('/lost', (c) => {
  const names = words(c).t.people.code;
  return page(
    c,
    { title: names.lostTitle, narrow: true, back: '/sign-in/code/lost' },
    <>
      <h1 class="mb-3">{names.lostTitle}</h1>
      <p class="mb-3">{names.lostCodes}</p>
      <p class="mb-3">{names.lostProof}</p>
      <p class="mb-3 empty:hidden">
        <Contact c={c} />
      </p>
      <p class="mb-6">{names.lostOperator}</p>
      <SignInLink c={c} />
    </>,
  );
});

signInCodePage.post('/', async (c) => {
  const { code = '', next = '' } = await typedFields(c);
  const { headers } = c.req.raw;
  // apps display the code as `123 456`, and people type the space, too
  const result = await signInWithCode(c.env, { code: code.replaceAll(' ', ''), headers, nowMs: Date.now() });
  if (!result.ok) return showForm(c, result.refusal, next);
  setCookies(c, result.cookies);
  return c.redirect(safePath(next, '/usage'), 303);
});

function showForm(c: PortalContext, refusal: SessionRefusal | null, typedNext?: string) {
  const { t } = words(c);
  const names = t.people.code;
  const next = typedNext ?? c.req.query('next') ?? '';
  const waitMs = refusal?.reason === 'too_many_attempts' ? refusal.retryAfterMs : null;
  return page(
    c,
    { title: names.title, narrow: true, status: waitMs !== null ? 429 : refusal ? 422 : 200 },
    <>
      <h1 class="mb-2">{names.title}</h1>
      <p class="mb-6">{names.lead}</p>
      {waitMs !== null && <TooManyAttempts c={c} waitMs={waitMs} />}
      {refusal?.reason === 'wrong_code' && <Callout tone="error">{names.wrong}</Callout>}
      {refusal?.reason === 'code_over' && <Callout tone="error">{names.over}</Callout>}
      <form method="post" action="/sign-in/code" class="grid gap-5">
        <NextField next={next} />
        <TextField c={c} name="code" label={names.code} autocomplete="one-time-code" required />
        <button class="btn btn-primary" type="submit">
          {names.submit}
        </button>
      </form>
      <p class="mt-6 text-sm">
        <a class="link" href="/sign-in/code/lost">
          {names.lostTitle}
        </a>
      </p>
      <SignInLink c={c} />
    </>,
  );
}
