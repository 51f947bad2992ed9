/** Who may see a page: anybody, a person with an account, or an operator. */
import { getCookie } from 'hono/cookie';
import { createMiddleware } from 'hono/factory';
import { parseAccept } from 'hono/utils/accept';
import { ensureAccount } from '../people/account.ts';
import { personOf } from '../people/session.ts';
import type { PortalContext, PortalEnv } from './context.ts';
import { isLocale, LOCALES, type Locale } from './language/locale.ts';
import { notFoundPage } from './pages/not-found.tsx';

export const LANGUAGE_COOKIE = 'language';

/** Language: the choice in the cookie, else the browser's. */
export const language = createMiddleware<PortalEnv>(async function language(c, next) {
  c.set('locale', localeOf(c));
  await next();
  c.header('Vary', 'Accept-Language, Cookie');
});

/** Puts the person behind the session into the context, or null. Asks the database only where there is a cookie. */
export const visitor = createMiddleware<PortalEnv>(async function visitor(c, next) {
  const hasSession = c.req.header('cookie')?.includes('tollgate.session_token=');
  const found = hasSession ? await personOf(c.env, c.req.raw.headers) : null;
  c.set('person', found?.person ?? null);
  await next();
  // not on a POST: signing in or out sets the session's cookie itself
  if (!found || c.req.method !== 'GET') return;
  for (const cookie of found.cookies) c.header('Set-Cookie', cookie, { append: true });
});

/** Sends strangers to sign in and brings them back; opens the account if sign-up was cut short. */
export const signedIn = createMiddleware<PortalEnv>(async function signedIn(c, next) {
  const person = c.get('person');
  if (!person) {
    const back = c.req.method === 'GET' ? `?next=${encodeURIComponent(c.req.path)}` : '';
    return c.redirect(`/sign-in${back}`, 303);
  }
  c.set('accountId', await ensureAccount(c.env, person, Date.now()));
  await next();
});

/** To anybody else the operator's pages do not exist. */
export const operator = createMiddleware<PortalEnv>(async function operator(c, next) {
  if (c.get('person')?.role !== 'operator') return notFoundPage(c);
  await next();
});

/** A path of this site to return to, or the fallback: never another site's address. */
export function safePath(path: string | undefined, fallback: string): string {
  return path && /^\/(?![/\\])[\w\-./?=&%]*$/.test(path) ? path : fallback;
}

function localeOf(c: PortalContext): Locale {
  const chosen = getCookie(c, LANGUAGE_COOKIE);
  if (isLocale(chosen)) return chosen;
  const accepted = parseAccept(c.req.header('accept-language') ?? '');
  for (const { type, q } of accepted) {
    const base = type.split('-')[0]?.toLowerCase();
    if (q > 0 && isLocale(base)) return base;
  }
  return LOCALES[0];
}
