/** The map of the portal: what every page passes through, then a page a line. Mount it last: it answers every path. */
import { Hono } from 'hono';
import { HTTPException } from 'hono/http-exception';
import { describeError } from '../describe-error.ts';
import type { PortalEnv } from './context.ts';
import { language, visitor } from './guard.ts';
import { accountPage } from './pages/account.tsx';
import { accountsPage } from './pages/accounts.tsx';
import { alertsPage } from './pages/alerts.tsx';
import { billingPage } from './pages/billing.tsx';
import { docsPage } from './pages/docs.tsx';
import { invitationPage } from './pages/invitation.tsx';
import { keysPage } from './pages/keys.tsx';
import { landingPage } from './pages/landing.tsx';
import { languagePage } from './pages/language.ts';
import { mailboxPage } from './pages/mailbox.tsx';
import { marginPage } from './pages/margin.tsx';
import { notFoundPage } from './pages/not-found.tsx';
import { poolPage } from './pages/pool.tsx';
import { priceEndPage } from './pages/price-end.tsx';
import { pricesPage } from './pages/prices.tsx';
import { pricingPage } from './pages/pricing.tsx';
import { problemPage } from './pages/problem.tsx';
import { promoPage } from './pages/promo.tsx';
import { promoCodesPage } from './pages/promo-codes.tsx';
import { reconciliationPage } from './pages/reconciliation.tsx';
import { requestsPage } from './pages/requests.tsx';
import { resetPasswordPage } from './pages/reset-password.tsx';
import { revokePage } from './pages/revoke.tsx';
import { rotatePage } from './pages/rotate.tsx';
import { secondFactorPage } from './pages/second-factor.tsx';
import { settingsPage } from './pages/settings.tsx';
import { signInPage } from './pages/sign-in.tsx';
import { signInCodePage } from './pages/sign-in-code.tsx';
import { signInLinkPage } from './pages/sign-in-link.tsx';
import { signUpPage } from './pages/sign-up.tsx';
import { startPage } from './pages/start.tsx';
import { teamPage } from './pages/team.tsx';
import { usagePage } from './pages/usage.tsx';
import { verifyEmailPage } from './pages/verify-email.tsx';
import { neverCached, ownForms, pageHeaders, smallForms } from './security.ts';

export const portal = new Hono<PortalEnv>();

portal.use(pageHeaders, neverCached, language, ownForms, smallForms(), visitor);

portal.route('/', landingPage);
portal.route('/', languagePage);
portal.route('/sign-up', signUpPage);
portal.route('/', signInPage);
portal.route('/mailbox', mailboxPage);
portal.route('/reset-password', resetPasswordPage);
portal.route('/sign-in/code', signInCodePage);
portal.route('/sign-in/link', signInLinkPage);
portal.route('/verify-email', verifyEmailPage);
portal.route('/pricing', pricingPage);
portal.route('/docs', docsPage);
portal.route('/start', startPage);
portal.route('/keys', keysPage);
portal.route('/keys', revokePage);
portal.route('/keys', rotatePage);
portal.route('/usage', usagePage);
portal.route('/requests', requestsPage);
portal.route('/billing', promoPage);
portal.route('/billing', billingPage);
portal.route('/alerts', alertsPage);
portal.route('/settings', settingsPage);
portal.route('/settings/second-factor', secondFactorPage);
portal.route('/team', teamPage);
portal.route('/invitation', invitationPage);
portal.route('/account', accountPage);
portal.route('/operator', poolPage);
portal.route('/operator', pricesPage);
portal.route('/operator', priceEndPage);
portal.route('/operator', promoCodesPage);
portal.route('/operator', reconciliationPage);
portal.route('/operator', marginPage);
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
