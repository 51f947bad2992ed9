/** Who may see a page: anybody, a person with an account, or an operator. */
import { getCookie, setCookie } from 'hono/cookie';
import { createMiddleware } from 'hono/factory';
import { parseAccept } from 'hono/utils/accept';
import { type Area, isRoleAllowed } from '../../domain/team.ts';
import { config } from '../../env.ts';
import { isLocale, LOCALES, type Locale } from '../../i18n/locale.ts';
import { accountsOf } from '../../identity/account.ts';
import { personOf } from '../../identity/session.ts';
import type { PortalContext, PortalEnv } from './context.ts';
import { notFoundPage } from './not-found.tsx';
import { problemPage } from './problem.tsx';

/** better-auth's, whatever its prefix */
const SESSION_COOKIE = 'tollgate.session_token=';
const LANGUAGE_COOKIE = 'language';
/** the account that a person of several looks at */
const ACCOUNT_COOKIE = 'account';
const YEAR_S = 31_536_000;

/** Language: the choice in the cookie, else the browser's. */
export const language = createMiddleware<PortalEnv>(async function language(c, next) {
  c.set('locale', localeOf(c));
  await next();
  c.header('Vary', 'Accept-Language, Cookie');
});

/** Puts the person behind the session into the context, or null. Asks the database only where there is a cookie. */
export const visitor = createMiddleware<PortalEnv>(async function visitor(c, next) {
  const hasSession = c.req.header('cookie')?.includes(SESSION_COOKIE);
  const found = hasSession ? await personOf(c.env, c.req.raw.headers) : null;
  c.set('person', found?.person ?? null);
  c.set('sessionId', found?.sessionId ?? '');
  await next();
  // signing in or out sets the session's cookie itself: mostly on a POST, from GitHub on a GET
  if (!found || c.req.method !== 'GET' || setsSession(c.res)) return;
  for (const cookie of found.cookies) c.header('Set-Cookie', cookie, { append: true });
});

function setsSession(answer: Response): boolean {
  return answer.headers.getSetCookie().some((line) => line.includes(SESSION_COOKIE));
}

/** Sends strangers to sign in and brings them back; opens an account for whoever belongs to none. */
export const signedIn = createMiddleware<PortalEnv>(async function signedIn(c, next) {
  const person = c.get('person');
  if (!person) {
    const back = c.req.method === 'GET' ? `?next=${encodeURIComponent(c.req.path)}` : '';
    return c.redirect(`/sign-in${back}`, 303);
  }
  const memberships = await accountsOf(c.env, person, Date.now());
  const chosen = getCookie(c, ACCOUNT_COOKIE);
  const membership = memberships.find(({ accountId }) => accountId === chosen) ?? memberships[0]!;
  c.set('memberships', memberships);
  c.set('accountId', membership.accountId);
  c.set('memberRole', membership.role);
  await next();
});

/** A page of the account's team: who may read it opens it, who may write sends its forms. Stands behind `signedIn`. */
export function allowed(area: Area) {
  return createMiddleware<PortalEnv>(async function allowed(c, next) {
    const act = c.req.method === 'GET' || c.req.method === 'HEAD' ? 'read' : 'write';
    if (!isRoleAllowed(c.get('memberRole'), act, area)) return problemPage(c, 'role');
    await next();
  });
}

/** Whether the person may send the forms of that area: a page shows no others. */
export function mayWrite(c: PortalContext, area: Area): boolean {
  return isRoleAllowed(c.get('memberRole'), 'write', area);
}

/**
 * To anybody else the operator's pages do not exist. A password alone does not open them; in development it does, so
 * that whoever tries the project needs no authenticator.
 */
export const operator = createMiddleware<PortalEnv>(async function operator(c, next) {
  const person = c.get('person');
  if (person?.role !== 'operator') return notFoundPage(c);
  if (!person.twoFactor && !config(c.env).development) return problemPage(c, 'second_factor');
  await next();
});

export function rememberLanguage(c: PortalContext, locale: Locale): void {
  remember(c, LANGUAGE_COOKIE, locale);
}

export function rememberAccount(c: PortalContext, accountId: string): void {
  remember(c, ACCOUNT_COOKIE, accountId);
}

/** A choice of how the portal looks to this browser; it proves nothing. */
function remember(c: PortalContext, name: string, value: string): void {
  setCookie(c, name, value, {
    path: '/',
    maxAge: YEAR_S,
    sameSite: 'Lax',
    httpOnly: true,
    secure: config(c.env).publicOrigin.startsWith('https://'),
  });
}

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
