/** Middleware that decides who may see a page: anybody, a person with an account, or an operator. */
import { getCookie, setCookie } from 'hono/cookie';
import { createMiddleware } from 'hono/factory';
import { parseAccept } from 'hono/utils/accept';
import { type Area, isRoleAllowed } from '../../domain/team.ts';
import { config } from '../../env.ts';
import { logRefusal } from '../../http/log-refusals.ts';
import { isLocale, LOCALES, type Locale } from '../../i18n/locale.ts';
import { accountsOf } from '../../identity/account.ts';
import { personOf } from '../../identity/session.ts';
import { settleTrial } from '../../identity/trial.ts';
import type { PortalContext, PortalEnv } from './context.ts';
import { notFoundPage } from './not-found.tsx';
import { problemPage } from './problem.tsx';
import { limitAccountForms } from './rate-limits.tsx';
import { setCookies } from './set-cookies.ts';

/** Part of better-auth's cookie name, which over HTTPS begins with `__Host-`. */
const SESSION_COOKIE = 'tollgate.session_token=';
const LANGUAGE_COOKIE = 'language';
/** The account that a person who belongs to several has chosen. */
const ACCOUNT_COOKIE = 'account';
const YEAR_S = 31_536_000;

/** Sets the page's language: the choice in the cookie, or else the browser's preference. */
export const language = createMiddleware<PortalEnv>(async function language(c, next) {
  c.set('locale', localeOf(c));
  await next();
  c.header('Vary', 'Accept-Language, Cookie');
});

/** Puts the person behind the session into the context, or null. Reads the database only if there is a session cookie. */
export const visitor = createMiddleware<PortalEnv>(async function visitor(c, next) {
  const hasSession = c.req.header('cookie')?.includes(SESSION_COOKIE);
  const session = hasSession ? await personOf(c.env, c.req.raw.headers, Date.now()) : null;
  c.set('person', session?.person ?? null);
  c.set('sessionId', session?.sessionId ?? '');
  await next();
  // a page that signs in or out sets the session's cookie itself: usually on a POST, coming from GitHub on a GET
  if (!session || c.req.method !== 'GET' || setsSession(c.res)) return;
  setCookies(c, session.cookies);
});

function setsSession(response: Response): boolean {
  return response.headers.getSetCookie().some((cookie) => cookie.includes(SESSION_COOKIE));
}

/**
 * Requires a person. Redirects others to sign in and back; opens an account for a person who belongs to none. While the
 * account is suspended its pages open and its forms are refused.
 */
export const signedIn = createMiddleware<PortalEnv>(async function signedIn(c, next) {
  const person = c.get('person');
  if (!person) {
    const query = c.req.method === 'GET' ? `?next=${encodeURIComponent(c.req.path)}` : '';
    return c.redirect(`/sign-in${query}`, 303);
  }
  const nowMs = Date.now();
  const memberships = await accountsOf(c.env, person, nowMs);
  const chosen = remembered(c, ACCOUNT_COOKIE);
  const membership = memberships.find(({ accountId }) => accountId === chosen) ?? memberships[0]!;
  const refusal = await limitAccountForms(c, membership.accountId);
  if (refusal !== null) return refusal;
  c.set('memberships', memberships);
  c.set('suspended', membership.suspended);
  c.set('accountId', membership.accountId);
  c.set('memberRole', membership.role);
  c.set('pendingTrial', await settleTrial(c.env, { person, membership, nowMs }));
  if (membership.suspended && !isRead(c) && !OPEN_WHILE_SUSPENDED.test(c.req.path))
    return problemPage(c, 'suspended');
  await next();
});

/**
 * Forms that work while the account is suspended: those about the person alone, the switch to another account, and the
 * top-up, which pays what the account owes.
 */
const OPEN_WHILE_SUSPENDED = /^\/(settings(\/.*)?|team\/switch|billing)$/;

function isRead(c: PortalContext): boolean {
  return c.req.method === 'GET' || c.req.method === 'HEAD';
}

/** Requires a role: one that may read the area to open its pages, one that may write to send its forms. Needs `signedIn`. */
export function allowed(area: Area) {
  return createMiddleware<PortalEnv>(async function allowed(c, next) {
    const access = isRead(c) ? 'read' : 'write';
    if (!isRoleAllowed(c.get('memberRole'), access, area)) return problemPage(c, 'role');
    await next();
  });
}

/** Whether the person's role may send the forms of the area; pages show only such forms as enabled. */
export function mayWrite(c: PortalContext, area: Area): boolean {
  return isRoleAllowed(c.get('memberRole'), 'write', area);
}

/**
 * Requires an operator; for anybody else the operator's pages do not exist. A second factor is required, too, except
 * in development, so that trying the project takes no authenticator.
 */
export const operator = createMiddleware<PortalEnv>(async function operator(c, next) {
  const person = c.get('person');
  if (person?.role !== 'operator') {
    logRefusal(c, 404);
    return notFoundPage(c);
  }
  if (!person.twoFactor && !config(c.env).development) return problemPage(c, 'second_factor');
  await next();
});

export function rememberLanguage(c: PortalContext, locale: Locale): void {
  remember(c, LANGUAGE_COOKIE, locale);
}

export function rememberAccount(c: PortalContext, accountId: string): void {
  remember(c, ACCOUNT_COOKIE, accountId);
}

/** Remembers a display choice of this browser. The cookie grants nothing: its value is checked wherever it is read. */
function remember(c: PortalContext, name: string, value: string): void {
  setCookie(c, name, value, {
    path: '/',
    maxAge: YEAR_S,
    sameSite: 'Lax',
    httpOnly: true,
    ...hostOnly(c),
  });
}

/** Over HTTPS the `__Host-` prefix: no other host of the domain can set such a cookie or is sent it. */
function hostOnly(c: PortalContext) {
  const secure = config(c.env).publicOrigin.startsWith('https://');
  return { secure, prefix: secure ? ('host' as const) : undefined };
}

function remembered(c: PortalContext, name: string): string | undefined {
  return getCookie(c, name, hostOnly(c).prefix);
}

/** The path if it is one of this site, or else the fallback: a redirect never leads to another site. */
export function safePath(path: string | undefined, fallback: string): string {
  return path && /^\/(?![/\\])[\w\-./?=&%]*$/.test(path) ? path : fallback;
}

function localeOf(c: PortalContext): Locale {
  const chosen = remembered(c, LANGUAGE_COOKIE);
  if (isLocale(chosen)) return chosen;
  const accepted = parseAccept(c.req.header('accept-language') ?? '');
  for (const { type, q } of accepted) {
    const base = type.split('-')[0]?.toLowerCase();
    if (q > 0 && isLocale(base)) return base;
  }
  return LOCALES[0];
}
