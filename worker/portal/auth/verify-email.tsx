/**
 * The link that verifies an e-mail address. Opening it shows a button to press, because mail scanners open every link
 * and would confirm an address that its owner never used here. Pressing it twice gives the same page.
 */
import { Hono } from 'hono';
import { takeLink, verifyEmail } from '../../identity/credentials.ts';
import { TooManyAttempts } from '../components/too-many-attempts.tsx';
import { type PortalContext, type PortalEnv, words } from '../frame/context.ts';
import { page } from '../frame/layout.tsx';
import { linkOver } from './ask-email.tsx';

export const verifyEmailPage = new Hono<PortalEnv>();

verifyEmailPage.get('/', (c) => askToConfirm(c, 0));

verifyEmailPage.post('/', async (c) => {
  const { retryAfterMs } = await takeLink(c.env, c.req.raw.headers, Date.now());
  if (retryAfterMs > 0) return askToConfirm(c, retryAfterMs);
  if (!(await verifyEmail(c.env, c.req.query('token') ?? ''))) return linkOver(c, '/settings');
  const names = words(c).t.people.verify;
  return page(
    c,
    { title: names.doneTitle, narrow: true, back: '/' },
    <>
      <h1 class="mb-3">{names.doneTitle}</h1>
      <p class="mb-6">{names.done}</p>
      <a class="btn btn-primary" href="/start">
        {names.go}
      </a>
    </>,
  );
});

/** The form posts to the address of this page, token included. */
function askToConfirm(c: PortalContext, waitMs: number) {
  const names = words(c).t.people.verify;
  return page(
    c,
    { title: names.title, narrow: true, status: waitMs > 0 ? 429 : 200, back: '/' },
    <>
      <h1 class="mb-3">{names.title}</h1>
      {waitMs > 0 && <TooManyAttempts c={c} waitMs={waitMs} />}
      <p class="mb-6">{names.text}</p>
      <form method="post">
        <button class="btn btn-primary" type="submit">
          {names.confirm}
        </button>
      </form>
    </>,
  );
}
