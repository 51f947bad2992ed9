/** Sign-in and sign-up with GitHub: a form leads there, GitHub leads back. Where it is not set up there is no such page. */
import { Hono } from 'hono';
import { createMiddleware } from 'hono/factory';
import { database } from '../../db/client.ts';
import { setLocale } from '../../db/people.ts';
import { config } from '../../env.ts';
import { beginWithGithub, finishWithGithub, type GithubRefusal } from '../../identity/github.ts';
import { signOut } from '../../identity/session.ts';
import { Callout } from '../components/callout.tsx';
import { type PortalContext, type PortalEnv, words } from '../frame/context.ts';
import { typedFields } from '../frame/form.ts';
import { safePath } from '../frame/guard.ts';
import { page } from '../frame/layout.tsx';
import { notFoundPage } from '../frame/not-found.tsx';
import { welcome } from './welcome.ts';

export const signInGithubPage = new Hono<PortalEnv>();

const setUp = createMiddleware<PortalEnv>(async function setUp(c, next) {
  return config(c.env).github === null ? notFoundPage(c) : next();
});

signInGithubPage.post('/', setUp, async (c) => {
  const next = safePath((await typedFields(c)).next, '');
  const begun = await beginWithGithub(c.env, { next, headers: c.req.raw.headers, nowMs: Date.now() });
  if ('retryAfterMs' in begun) return wait(c, begun.retryAfterMs);
  for (const cookie of begun.cookies) c.header('Set-Cookie', cookie, { append: true });
  return c.redirect(begun.url, 303);
});

signInGithubPage.get('/callback', setUp, async (c) => {
  const { headers } = c.req.raw;
  const nowMs = Date.now();
  const result = await finishWithGithub(c.env, { query: c.req.query(), headers, nowMs });
  // a session that was here before ends: the browser holds one, and it is new
  if (result.ok && c.get('person')) await signOut(c.env, headers);
  for (const cookie of result.cookies) c.header('Set-Cookie', cookie, { append: true });
  if (!result.ok) return refused(c, result.refusal);
  const next = safePath(result.next, '');
  if (result.person === null)
    return c.redirect(`/sign-in/code${next && `?next=${encodeURIComponent(next)}`}`, 303);
  if (!result.isNew) return c.redirect(next || '/usage', 303);
  await setLocale(database(c.env), result.person.id, words(c).locale);
  return welcome(c, { person: result.person, next, nowMs });
});

const WAYS_ON = {
  denied: ['/sign-in', 403],
  over: ['/sign-in', 410],
  no_email: ['/sign-up', 403],
  not_linked: ['/sign-in/link', 403],
  failed: ['/sign-in', 502],
} as const;

function refused(c: PortalContext, refusal: GithubRefusal) {
  if (refusal.reason === 'too_many_attempts') return wait(c, refusal.retryAfterMs);
  const { title, text, link } = words(c).t.github.refused[refusal.reason];
  const [href, status] = WAYS_ON[refusal.reason];
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

function wait(c: PortalContext, waitMs: number) {
  const { t, f } = words(c);
  return page(
    c,
    { title: t.signIn.title, narrow: true, status: 429, back: '/sign-in' },
    <>
      <h1 class="mb-6">{t.signIn.title}</h1>
      <Callout tone="error">{t.tooManyAttempts(f.duration(waitMs))}</Callout>
    </>,
  );
}
