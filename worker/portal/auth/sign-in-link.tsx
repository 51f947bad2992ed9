/**
 * Sign-in with a link in an e-mail. Opening the link shows a button to press, because mail scanners open every link
 * and would use this one up.
 */
import { Hono } from 'hono';
import { askForSignInLink } from '../../identity/credentials.ts';
import { signInByLink } from '../../identity/session.ts';
import { TooManyAttempts } from '../components/too-many-attempts.tsx';
import { type PortalContext, type PortalEnv, words } from '../frame/context.ts';
import { page } from '../frame/layout.tsx';
import { setCookies } from '../frame/set-cookies.ts';
import { answerEmail, askEmail, linkOver } from './ask-email.tsx';
import { replaceSession } from './sign-in-parts.tsx';

const PATH = '/sign-in/link';

export const signInLinkPage = new Hono<PortalEnv>();

signInLinkPage.get('/', (c) => askEmail(c, words(c).t.people.link));

signInLinkPage.post('/', (c) =>
  answerEmail(c, words(c).t.people.link, (email) => {
    const { locale } = words(c);
    return askForSignInLink(c.env, { email, locale, headers: c.req.raw.headers, nowMs: Date.now() });
  }),
);

signInLinkPage.get('/:token', (c) => askToOpen(c, null));

signInLinkPage.post('/:token', async (c) => {
  const { headers } = c.req.raw;
  const result = await signInByLink(c.env, { token: c.req.param('token'), headers, nowMs: Date.now() });
  if (!result.ok) {
    const { refusal } = result;
    if (refusal.reason === 'second_factor') {
      setCookies(c, refusal.cookies);
      return c.redirect('/sign-in/code', 303);
    }
    return refusal.reason === 'too_many_attempts' ? askToOpen(c, refusal.retryAfterMs) : linkOver(c, PATH);
  }
  await replaceSession(c, result.cookies);
  return c.redirect('/usage', 303);
});

function askToOpen(c: PortalContext, waitMs: number | null) {
  const { link } = words(c).t.people;
  return page(
    c,
    { title: link.openTitle, narrow: true, status: waitMs === null ? 200 : 429 },
    <>
      <h1 class="mb-3">{link.openTitle}</h1>
      {waitMs !== null && <TooManyAttempts c={c} waitMs={waitMs} />}
      <p class="mb-6">{link.openText}</p>
      <form method="post">
        <button class="btn btn-primary" type="submit">
          {link.open}
        </button>
      </form>
    </>,
  );
}
