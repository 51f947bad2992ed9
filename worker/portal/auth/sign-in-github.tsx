/** Sign-in and sign-up with GitHub: a form redirects there, and GitHub redirects back. A 404 where it is not configured. */
import { Hono } from 'hono';
import { createMiddleware } from 'hono/factory';
import { database } from '../../db/client.ts';
import { setLocale } from '../../db/people.ts';
import { config } from '../../env.ts';
import { beginWithGithub, finishWithGithub, type GithubRefusal } from '../../identity/github.ts';
import { type PortalContext, type PortalEnv, words } from '../frame/context.ts';
import { typedFields } from '../frame/form.ts';
import { safePath } from '../frame/guard.ts';
import { page } from '../frame/layout.tsx';
import { notFoundPage } from '../frame/not-found.tsx';
import { setCookies } from '../frame/set-cookies.ts';
import { replaceSession, withNext } from './sign-in-parts.tsx';
import { tooManyAttemptsPage } from './too-many-attempts.tsx';
import { welcome } from './welcome.ts';

export const signInGithubPage = new Hono<PortalEnv>();

const configured = createMiddleware<PortalEnv>(async function configured(c, next) {
  return config(c.env).github === null ? notFoundPage(c) : next();
});

signInGithubPage.post('/', configured, async (c) => {
  const next = safePath((await typedFields(c)).next, '');
  const begun = await beginWithGithub(c.env, { next, headers: c.req.raw.headers, nowMs: Date.now() });
  if ('retryAfterMs' in begun) return tooManyAttemptsPage(c, words(c).t.signIn.title, begun.retryAfterMs);
  setCookies(c, begun.cookies);
  return c.redirect(begun.url, 303);
});

signInGithubPage.get('/callback', configured, async (c) => {
  const { headers } = c.req.raw;
  const nowMs = Date.now();
  const result = await finishWithGithub(c.env, { query: c.req.query(), headers, nowMs });
  if (!result.ok) {
    setCookies(c, result.cookies);
    return refusedPage(c, result.refusal);
  }
  await replaceSession(c, result.cookies);
  const next = safePath(result.next, '');
  if (result.person === null) return c.redirect(withNext('/sign-in/code', next), 303);
  if (!result.isNew) return c.redirect(next || '/usage', 303);
  await setLocale(database(c.env), result.person.id, words(c).locale);
  return welcome(c, { person: result.person, next, nowMs });
});

/** For each refusal: the page to go on to, and the status. */
const REFUSED = {
  denied: ['/sign-in', 403],
  over: ['/sign-in', 410],
  no_email: ['/sign-up', 403],
  not_linked: ['/sign-in/link', 403],
  failed: ['/sign-in', 502],
} as const;

function refusedPage(c: PortalContext, refusal: GithubRefusal) {
  if (refusal.reason === 'too_many_attempts')
    return tooManyAttemptsPage(c, words(c).t.signIn.title, refusal.retryAfterMs);
  const { title, text, link } = words(c).t.github.refused[refusal.reason];
  const [href, status] = REFUSED[refusal.reason];
  return page(
    c,
    { title, narrow: true, status, back: '/sign-in' },
    <>
      <h1 class="mb-3">{title}</h1>
      <p class="mb-6">{text}</p>
      <a class="btn btn-primary" href={href}>
        {link}
      </a>
    </>,
  );
}
