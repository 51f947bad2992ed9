/** The second step of signing in: a code, for those who have set that up. */
import { Hono } from 'hono';
import { type SessionRefusal, signInWithCode } from '../../identity/session.ts';
import { Callout } from '../components/callout.tsx';
import { TextField } from '../components/field.tsx';
import { type PortalContext, type PortalEnv, words } from '../frame/context.ts';
import { typedFields } from '../frame/form.ts';
import { safePath } from '../frame/guard.ts';
import { page } from '../frame/layout.tsx';

export const signInCodePage = new Hono<PortalEnv>();

signInCodePage.get('/', (c) => form(c, null));

signInCodePage.post('/', async (c) => {
  const { code = '', next = '' } = await typedFields(c);
  const { headers } = c.req.raw;
  // people type it as they read it: 123 456
  const result = await signInWithCode(c.env, { code: code.replaceAll(' ', ''), headers, nowMs: Date.now() });
  if (!result.ok) return form(c, result.refusal, next);
  for (const cookie of result.cookies) c.header('Set-Cookie', cookie, { append: true });
  return c.redirect(safePath(next, '/usage'), 303);
});

function form(c: PortalContext, refusal: SessionRefusal | null, typedNext?: string) {
  const { t, f } = words(c);
  const names = t.people.code;
  const next = typedNext ?? c.req.query('next') ?? '';
  const waiting = refusal?.reason === 'too_many_attempts';
  const said =
    refusal &&
    {
      too_many_attempts: waiting ? t.tooManyAttempts(f.duration(refusal.retryAfterMs)) : '',
      wrong_code: names.wrong,
      code_over: names.over,
    }[refusal.reason as 'too_many_attempts' | 'wrong_code' | 'code_over'];
  return page(
    c,
    { title: names.title, narrow: true, status: waiting ? 429 : refusal ? 422 : 200 },
    <>
      <h1 class="mb-2">{names.title}</h1>
      <p class="mb-6">{names.lead}</p>
      {said && <Callout tone="error">{said}</Callout>}
      <form method="post" action="/sign-in/code" class="grid gap-5">
        {next && <input type="hidden" name="next" value={next} />}
        <TextField c={c} name="code" label={names.code} autocomplete="one-time-code" required />
        <button class="btn btn-primary" type="submit">
          {names.submit}
        </button>
      </form>
      <p class="mt-6 text-sm">
        <a class="link" href="/sign-in">
          {t.signIn.title}
        </a>
      </p>
    </>,
  );
}
