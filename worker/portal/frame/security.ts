/** Security headers of every page, and the refusal of forms that another site sends. */

import { bodyLimit } from 'hono/body-limit';
import { createMiddleware } from 'hono/factory';
import { secureHeaders } from 'hono/secure-headers';
import type { RouterRoute } from 'hono/types';
import { config } from '../../env.ts';
import { allowedMethods, optionsResponse } from '../../http/allowed-methods.ts';
import { isFromOwnPage } from '../../http/own-origin.ts';
import { HSTS } from '../../http/safe-headers.ts';
import { isWrite } from '../../http/write-limit.ts';
import { TURNSTILE_ORIGIN } from '../../identity/turnstile.ts';
import type { PortalEnv } from './context.ts';
import { problemPage } from './problem.tsx';

/** The largest form body. The longest is a model's, with a profile of up to 12 KiB, which can be thrice as long when encoded. */
const FORM_BYTES_MAX = 49_152;

/**
 * Sets a page's security headers. Most pages forbid every script and allow only our own style sheet, so that an
 * injected tag has nothing to run; the exceptions are listed below.
 */
export const pageHeaders = createMiddleware<PortalEnv>(async function pageHeaders(c, next) {
  if (c.req.path === DOCS_PATH) return docsHeaders(c, next);
  if (EMAIL_PATH.test(c.req.path)) return emailHeaders(c, next);
  if (c.req.path === PLAYGROUND_PATH) return playgroundHeaders(c, next);
  const { github, turnstile } = config(c.env);
  const byGithub = WITH_GITHUB.has(c.req.path) && github !== null;
  if (c.req.path === SIGN_UP_PATH && turnstile !== null)
    return (byGithub ? turnstileGithubHeaders : turnstileHeaders)(c, next);
  if (byGithub) return githubHeaders(c, next);
  return (c.req.path === FRAMED_PATH ? framedHeaders : defaultHeaders)(c, next);
});

/** The API reference, the one page with a third party's script. It shows nothing that a user typed. */
const DOCS_PATH = '/docs';

/** The one page with a script of our own, which inserts everything it receives as text, never as markup. */
const PLAYGROUND_PATH = '/playground';

/** Pages with a form whose response is a redirect to GitHub. */
const SIGN_UP_PATH = '/sign-up';
const WITH_GITHUB = new Set(['/sign-in', SIGN_UP_PATH]);

/** The one page that another page of ours shows in a frame. */
export const FRAMED_PATH = '/start/first-request';

/** An e-mail in the development mailbox. Its styles are inline, as in every e-mail. */
const EMAIL_PATH = /^\/mailbox\/\w+\/html$/;

/** The start of every page's policy: what it does not name afterwards is forbidden. */
const NOTHING = { defaultSrc: ["'none'"], objectSrc: ["'none'"], baseUri: ["'none'"] };

const emailHeaders = secureHeaders({
  contentSecurityPolicy: {
    ...NOTHING,
    styleSrc: ["'unsafe-inline'"],
    sandbox: ['allow-popups', 'allow-popups-to-escape-sandbox'],
    frameAncestors: ["'self'"],
  },
  xFrameOptions: 'SAMEORIGIN',
  referrerPolicy: 'no-referrer',
  strictTransportSecurity: HSTS,
});

const defaultHeaders = headers("'none'");
const WITH_GITHUB_FORM = { formAction: ['https://github.com'] };
const githubHeaders = headers("'none'", WITH_GITHUB_FORM);
/** Turnstile's script and its frame, as its documentation names them; nothing else of the page can run a script. */
const WITH_TURNSTILE = { scriptSrc: [TURNSTILE_ORIGIN], frameSrc: [TURNSTILE_ORIGIN] };
const turnstileHeaders = headers("'none'", WITH_TURNSTILE);
const turnstileGithubHeaders = headers("'none'", { ...WITH_TURNSTILE, ...WITH_GITHUB_FORM });
const framedHeaders = headers("'self'");

/** The script comes from our origin and connects only to it; inline scripts are forbidden. */
const playgroundHeaders = headers("'none'", { scriptSrc: ["'self'"], connectSrc: ["'self'"] });

/** Scalar's script comes from our origin and connects only to it. It inserts styles of its own and never calls eval. */
const docsHeaders = secureHeaders({
  contentSecurityPolicy: {
    ...NOTHING,
    scriptSrc: ["'self'"],
    styleSrc: ["'self'", "'unsafe-inline'"],
    imgSrc: ["'self'", 'data:', 'blob:'],
    fontSrc: ["'self'", 'data:'],
    connectSrc: ["'self'"],
    frameAncestors: ["'none'"],
  },
  referrerPolicy: 'same-origin',
  strictTransportSecurity: HSTS,
});

function headers(
  frameAncestors: "'none'" | "'self'",
  more: { scriptSrc?: string[]; connectSrc?: string[]; frameSrc?: string[]; formAction?: string[] } = {},
) {
  const { formAction = [], frameSrc = [], ...script } = more;
  return secureHeaders({
    contentSecurityPolicy: {
      ...NOTHING,
      ...script,
      styleSrc: ["'self'"],
      imgSrc: ["'self'", 'data:'],
      frameSrc: ["'self'", ...frameSrc],
      // a top-up's form is answered by a redirect to Stripe's page, and this directive applies to redirects, too
      formAction: ["'self'", 'https://checkout.stripe.com', ...formAction],
      frameAncestors: [frameAncestors],
    },
    xFrameOptions: frameAncestors === "'none'" ? 'DENY' : 'SAMEORIGIN',
    // with 'no-referrer' browsers would send our own forms with `Origin: null`, which the check of the origin refuses
    referrerPolicy: 'same-origin',
    strictTransportSecurity: HSTS,
  });
}

/** Forbids every cache to store a page, because pages are personal. */
export const neverCached = createMiddleware<PortalEnv>(async function neverCached(c, next) {
  await next();
  c.header('Cache-Control', 'private, no-store');
});

/** Accepts forms only from pages of the configured origin, whatever the Host header and the body's type say. */
export const ownForms = createMiddleware<PortalEnv>(async function ownForms(c, next) {
  const { publicOrigin } = config(c.env);
  if (!isWrite(c.req.method) || isFromOwnPage(c.req.raw.headers, publicOrigin)) return next();
  return problemPage(c, 403);
});

/**
 * Answers a method that a page does not take with 405, before a form is read.
 * @param routes the portal's route table
 */
export function knownMethods(routes: () => readonly RouterRoute[]) {
  const methodsOf = allowedMethods(routes);
  return createMiddleware<PortalEnv>(async function knownMethods(c, next) {
    const methods = methodsOf(c.req.path);
    if (methods.length === 0) return next();
    if (c.req.method === 'OPTIONS') return optionsResponse(methods);
    if (methods.includes(c.req.method)) return next();
    c.header('Allow', methods.join(', '));
    return problemPage(c, 405);
  });
}

/** Refuses bodies above FORM_BYTES_MAX. */
export function smallForms() {
  return bodyLimit({ maxSize: FORM_BYTES_MAX, onError: (c) => problemPage(c, 413) });
}
