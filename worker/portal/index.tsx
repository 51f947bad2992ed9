/** The map of the portal: the middleware of every page, then one line per page. Mount it last: it answers every path. */
import { Hono } from 'hono';
import { routeOf } from '../http/route-of.ts';
import { describeError } from '../lib/describe-error.ts';
import { accountPage } from './account/account.tsx';
import { invitationPage } from './account/invitation.tsx';
import { settingsPage } from './account/settings.tsx';
import { teamPage } from './account/team.tsx';
import { alertsPage } from './alerts/alerts.tsx';
import { aliasesPage } from './aliases/aliases.tsx';
import { resetPasswordPage } from './auth/reset-password.tsx';
import { secondFactorPage } from './auth/second-factor.tsx';
import { signInPage } from './auth/sign-in.tsx';
import { signInCodePage } from './auth/sign-in-code.tsx';
import { signInGithubPage } from './auth/sign-in-github.tsx';
import { signInLinkPage } from './auth/sign-in-link.tsx';
import { signUpPage } from './auth/sign-up.tsx';
import { verifyEmailPage } from './auth/verify-email.tsx';
import { batchesPage } from './batches/batches.tsx';
import { billingPage } from './billing/billing.tsx';
import { invoicePage } from './billing/invoice.tsx';
import { promoPage } from './billing/promo.tsx';
import type { PortalEnv } from './frame/context.ts';
import { language, visitor } from './frame/guard.ts';
import { notFoundPage } from './frame/not-found.tsx';
import { problemPage } from './frame/problem.tsx';
import { limitForms } from './frame/rate-limits.tsx';
import { knownMethods, neverCached, ownForms, pageHeaders, smallForms } from './frame/security.ts';
import { keysPage } from './keys/keys.tsx';
import { revokePage } from './keys/revoke.tsx';
import { rotatePage } from './keys/rotate.tsx';
import { startPage } from './keys/start.tsx';
import { accountsPage } from './operator/accounts.tsx';
import { comparisonPage } from './operator/comparison.tsx';
import { customerPage } from './operator/customer.tsx';
import { heldPaymentsPage } from './operator/held-payments.tsx';
import { marginPage } from './operator/margin.tsx';
import { modelEndPage } from './operator/model-end.tsx';
import { modelsPage } from './operator/models.tsx';
import { poolPage } from './operator/pool.tsx';
import { priceEndPage } from './operator/price-end.tsx';
import { pricesPage } from './operator/prices.tsx';
import { promoCodesPage } from './operator/promo-codes.tsx';
import { reconciliationPage } from './operator/reconciliation.tsx';
import { resetSecondFactorPage } from './operator/reset-second-factor.tsx';
import { operatorTokensPage } from './operator/tokens.tsx';
import { playgroundPage } from './playground/page.tsx';
import { docsPage } from './public/docs.tsx';
import { landingPage } from './public/landing.tsx';
import { languagePage } from './public/language.ts';
import { legalPage } from './public/legal.tsx';
import { mailboxPage } from './public/mailbox.tsx';
import { pricingPage } from './public/pricing.tsx';
import { statusPage } from './public/status.tsx';
import { requestsPage } from './usage/requests.tsx';
import { usagePage } from './usage/usage.tsx';

export const portal = new Hono<PortalEnv>();

portal.use(
  pageHeaders,
  neverCached,
  language,
  knownMethods(() => portal.routes),
  ownForms,
  smallForms(),
  visitor,
  limitForms,
);

portal.route('/', landingPage);
portal.route('/', languagePage);
portal.route('/sign-up', signUpPage);
portal.route('/', signInPage);
portal.route('/mailbox', mailboxPage);
portal.route('/reset-password', resetPasswordPage);
portal.route('/sign-in/code', signInCodePage);
portal.route('/sign-in/github', signInGithubPage);
portal.route('/sign-in/link', signInLinkPage);
portal.route('/verify-email', verifyEmailPage);
portal.route('/pricing', pricingPage);
portal.route('/', legalPage);
portal.route('/', statusPage);
portal.route('/docs', docsPage);
portal.route('/start', startPage);
portal.route('/playground', playgroundPage);
portal.route('/keys', keysPage);
portal.route('/keys', revokePage);
portal.route('/keys', rotatePage);
portal.route('/aliases', aliasesPage);
portal.route('/usage', usagePage);
portal.route('/requests', requestsPage);
portal.route('/batches', batchesPage);
portal.route('/billing', promoPage);
portal.route('/billing', invoicePage);
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
portal.route('/operator', comparisonPage);
portal.route('/operator', modelsPage);
portal.route('/operator', modelEndPage);
portal.route('/operator', promoCodesPage);
portal.route('/operator', operatorTokensPage);
portal.route('/operator', reconciliationPage);
portal.route('/operator', heldPaymentsPage);
portal.route('/operator', marginPage);
portal.route('/operator', accountsPage);
portal.route('/operator', customerPage);
portal.route('/operator', resetSecondFactorPage);
portal.all('*', notFoundPage);

portal.onError((error, c) => {
  const reference = c.req.header('cf-ray') ?? crypto.randomUUID();
  console.error(
    JSON.stringify({ event: 'page_failed', reference, route: routeOf(c), error: describeError(error) }),
  );
  return problemPage(c, 500, reference);
});
