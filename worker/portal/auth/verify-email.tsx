/** The link that verifies an e-mail address. Opening it twice gives the same page. */
import { Hono } from 'hono';
import { verifyEmail } from '../../identity/credentials.ts';
import { type PortalEnv, words } from '../frame/context.ts';
import { page } from '../frame/layout.tsx';
import { linkOver } from './ask-email.tsx';

export const verifyEmailPage = new Hono<PortalEnv>();

verifyEmailPage.get('/', async (c) => {
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
