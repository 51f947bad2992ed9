/** Headers of every page, and the refusal of forms that another site sends. */

import { bodyLimit } from 'hono/body-limit';
import { csrf } from 'hono/csrf';
import { createMiddleware } from 'hono/factory';
import { secureHeaders } from 'hono/secure-headers';
import { config } from '../../env.ts';
import type { PortalEnv } from './context.ts';
import { problemPage } from './problem.tsx';

/** The longest form of the portal is under 1 KiB; this leaves room for what people paste by mistake. */
const FORM_BYTES_MAX = 16_384;

/** No script at all, styles from our own stylesheet only: an injected tag has nothing to run. */
export const pageHeaders = createMiddleware<PortalEnv>(async function pageHeaders(c, next) {
  if (c.req.path === DOCS_PATH) return docsHeaders(c, next);
  if (LETTER_PATH.test(c.req.path)) return letterHeaders(c, next);
  if (c.req.path === PLAYGROUND_PATH) return playgroundHeaders(c, next);
  if (WITH_GITHUB.has(c.req.path) && config(c.env).github !== null) return githubHeaders(c, next);
  return (c.req.path === FRAMED_PATH ? framedHeaders : wholeHeaders)(c, next);
});

/** A page with script that is not ours. It shows nothing that anybody typed. */
const DOCS_PATH = '/docs';

/** The one page with a script of our own, which writes what it is told as text. */
const PLAYGROUND_PATH = '/playground';

/** The pages with a form that is answered by a redirect to GitHub. */
const WITH_GITHUB = new Set(['/sign-in', '/sign-up']);

/** The one page that another page of ours shows in a frame. */
export const FRAMED_PATH = '/start/first-request';

/** A letter in the local mailbox, which brings its styles at its elements, as letters do. */
const LETTER_PATH = /^\/mailbox\/\w+\/html$/;

const letterHeaders = secureHeaders({
  contentSecurityPolicy: {
    defaultSrc: ["'none'"],
    styleSrc: ["'unsafe-inline'"],
    sandbox: ['allow-popups', 'allow-popups-to-escape-sandbox'],
    frameAncestors: ["'self'"],
  },
  xFrameOptions: 'SAMEORIGIN',
  referrerPolicy: 'no-referrer',
});

const wholeHeaders = headers("'none'");
const githubHeaders = headers("'none'", { formAction: ['https://github.com'] });
const framedHeaders = headers("'self'");

/** Its script comes from our origin and asks nobody else; nothing inline runs. */
const playgroundHeaders = headers("'none'", { scriptSrc: ["'self'"], connectSrc: ["'self'"] });

/** Scalar brings its script from here and writes its styles itself; it evaluates no text and asks nobody else. */
const docsHeaders = secureHeaders({
  contentSecurityPolicy: {
    defaultSrc: ["'none'"],
    scriptSrc: ["'self'"],
    styleSrc: ["'self'", "'unsafe-inline'"],
    imgSrc: ["'self'", 'data:', 'blob:'],
    fontSrc: ["'self'", 'data:'],
    connectSrc: ["'self'"],
    baseUri: ["'none'"],
    frameAncestors: ["'none'"],
  },
  referrerPolicy: 'same-origin',
});

function headers(
  frameAncestors: "'none'" | "'self'",
  { formAction = [], ...script }: { scriptSrc?: string[]; connectSrc?: string[]; formAction?: string[] } = {},
) {
  return secureHeaders({
    contentSecurityPolicy: {
      defaultSrc: ["'none'"],
      ...script,
      styleSrc: ["'self'"],
      imgSrc: ["'self'", 'data:'],
      frameSrc: ["'self'"],
      // a top-up's form is answered by a redirect to Stripe's page, which this directive covers, too
      formAction: ["'self'", 'https://checkout.stripe.com', ...formAction],
      baseUri: ["'none'"],
      frameAncestors: [frameAncestors],
    },
    xFrameOptions: frameAncestors === "'none'" ? 'DENY' : 'SAMEORIGIN',
    // with 'no-referrer' browsers would send our own forms with `Origin: null`
    referrerPolicy: 'same-origin',
  });
}

/** What one page shows to one person is kept by no cache. */
export const neverCached = createMiddleware<PortalEnv>(async function neverCached(c, next) {
  await next();
  c.header('Cache-Control', 'private, no-store');
});

/**
 * Accepts forms from the one configured origin only, whatever Host says. A browser sends Origin or Sec-Fetch-Site
 * with every POST; a request that has neither is no browser's form.
 */
export const ownForms = createMiddleware<PortalEnv>(async function ownForms(c, next) {
  const { publicOrigin } = config(c.env);
  return csrf({ origin: publicOrigin })(c, next);
});

export function smallForms() {
  return bodyLimit({ maxSize: FORM_BYTES_MAX, onError: (c) => problemPage(c, 413) });
}
