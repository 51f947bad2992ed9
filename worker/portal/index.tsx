/** The map of the portal: what every page passes through, then a page a line. Mount it last: it answers every path. */
import { Hono } from 'hono';
import { HTTPException } from 'hono/http-exception';
import { describeError } from '../describe-error.ts';
import type { PortalEnv } from './context.ts';
import { language, visitor } from './guard.ts';
import { accountsPage } from './pages/accounts.tsx';
import { alertsPage } from './pages/alerts.tsx';
import { billingPage } from './pages/billing.tsx';
import { docsPage } from './pages/docs.tsx';
import { keysPage } from './pages/keys.tsx';
import { landingPage } from './pages/landing.tsx';
import { languagePage } from './pages/language.ts';
import { notFoundPage } from './pages/not-found.tsx';
import { playgroundPage } from './pages/playground.tsx';
import { poolPage } from './pages/pool.tsx';
import { priceEndPage } from './pages/price-end.tsx';
import { pricesPage } from './pages/prices.tsx';
import { problemPage } from './pages/problem.tsx';
import { promoPage } from './pages/promo.tsx';
import { promoCodesPage } from './pages/promo-codes.tsx';
import { reconciliationPage } from './pages/reconciliation.tsx';
import { requestsPage } from './pages/requests.tsx';
import { revokePage } from './pages/revoke.tsx';
import { signInPage } from './pages/sign-in.tsx';
import { signUpPage } from './pages/sign-up.tsx';
import { startPage } from './pages/start.tsx';
import { usagePage } from './pages/usage.tsx';
import { neverCached, ownForms, pageHeaders, smallForms } from './security.ts';

export const portal = new Hono<PortalEnv>();

portal.use(pageHeaders, neverCached, language, ownForms, smallForms(), visitor);

portal.route('/', landingPage);
portal.route('/', languagePage);
portal.route('/sign-up', signUpPage);
portal.route('/', signInPage);
portal.route('/docs', docsPage);
portal.route('/start', startPage);
portal.route('/playground', playgroundPage);
portal.route('/keys', keysPage);
portal.route('/keys', revokePage);
portal.route('/usage', usagePage);
portal.route('/requests', requestsPage);
portal.route('/billing', promoPage);
portal.route('/billing', billingPage);
portal.route('/alerts', alertsPage);
portal.route('/operator', poolPage);
portal.route('/operator', pricesPage);
portal.route('/operator', priceEndPage);
portal.route('/operator', promoCodesPage);
portal.route('/operator', reconciliationPage);
portal.route('/operator', accountsPage);
portal.all('*', notFoundPage);

portal.onError((error, c) => {
  if (error instanceof HTTPException && error.status === 403) return problemPage(c, 403);
  const reference = c.req.header('cf-ray') ?? crypto.randomUUID();
  console.error(
    JSON.stringify({ event: 'page_failed', reference, path: c.req.path, error: describeError(error) }),
  );
  return problemPage(c, 500, reference);
});
