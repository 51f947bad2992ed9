/**
 * Sign-in by a link in a letter. Opening it asks for one more click, because mail scanners open every link and would
 * spend it.
 */
import { Hono } from 'hono';
import { askForSignInLink } from '../../identity/credentials.ts';
import { signInByLink, signOut } from '../../identity/session.ts';
import { Callout } from '../components/callout.tsx';
import { type PortalContext, type PortalEnv, words } from '../frame/context.ts';
import { page } from '../frame/layout.tsx';
import { answerEmail, askEmail, linkOver } from './ask-email.tsx';

const HERE = '/sign-in/link';

export const signInLinkPage = new Hono<PortalEnv>();

signInLinkPage.get('/', (c) => askEmail(c, words(c).t.people.link));

signInLinkPage.post('/', (c) =>
  answerEmail(c, words(c).t.people.link, (email) => {
    const { locale } = words(c);
    return askForSignInLink(c.env, { email, locale, headers: c.req.raw.headers, nowMs: Date.now() });
  }),
);

signInLinkPage.get('/:token', (c) => open(c, null));

signInLinkPage.post('/:token', async (c) => {
  const { headers } = c.req.raw;
  const result = await signInByLink(c.env, { token: c.req.param('token'), headers, nowMs: Date.now() });
  if (!result.ok) {
    const { refusal } = result;
    return refusal.reason === 'too_many_attempts' ? open(c, refusal.retryAfterMs) : linkOver(c, HERE);
  }
  if (c.get('person')) await signOut(c.env, headers);
  for (const cookie of result.cookies) c.header('Set-Cookie', cookie, { append: true });
  return c.redirect('/usage', 303);
});

function open(c: PortalContext, waitMs: number | null) {
  const { t, f } = words(c);
  const { link } = t.people;
  return page(
    c,
    { title: link.openTitle, narrow: true, status: waitMs === null ? 200 : 429 },
    <>
      <h1 class="mb-3">{link.openTitle}</h1>
      {waitMs !== null && <Callout tone="error">{t.tooManyAttempts(f.duration(waitMs))}</Callout>}
      <p class="mb-6">{link.openText}</p>
      <form method="post">
        <button class="btn btn-primary" type="submit">
          {link.open}
        </button>
      </form>
    </>,
  );
}
