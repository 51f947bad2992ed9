/** Redeems a promo code and shows the outcome: the credit and its ledger entry, or why there is none. */
import { Hono } from 'hono';
import type { Child } from 'hono/jsx';
import { redeemPromoCode } from '../../billing/promo-codes.ts';
import { nanoUsd } from '../../domain/money.ts';
import { Callout } from '../components/callout.tsx';
import { TooManyAttempts } from '../components/too-many-attempts.tsx';
import { type PortalContext, type PortalEnv, words } from '../frame/context.ts';
import { type Faults, type Typed, typedFields } from '../frame/form.ts';
import { allowed, signedIn } from '../frame/guard.ts';
import { page } from '../frame/layout.tsx';
import { PromoForm } from './promo-form.tsx';

export const promoPage = new Hono<PortalEnv>();

promoPage.use('/promo', signedIn, allowed('billing'));

promoPage.get('/promo', (c) => show(c, { callout: null }));

promoPage.post('/promo', async (c) => {
  const { t, f } = words(c);
  const typed = await typedFields(c);
  const order = { accountId: c.get('accountId'), typed: typed.code ?? '', nowMs: Date.now() };
  const result = await redeemPromoCode(c.env, order);
  if (result.ok) {
    const amount = f.usd(nanoUsd(result.entry.grantedNanoUsd));
    const text = result.before ? t.promo.before : t.promo.redeemed;
    const callout = <Callout tone="success">{text(amount, f.count(result.entry.seq))}</Callout>;
    return show(c, { callout });
  }
  if (result.reason === 'too_many_attempts') {
    const callout = <TooManyAttempts c={c} waitMs={result.retryAfterMs} />;
    return show(c, { typed, callout, status: 429 });
  }
  return show(c, { typed, faults: { code: result.reason }, callout: null, status: 422 });
});

function show(
  c: PortalContext,
  state: { typed?: Typed; faults?: Faults; callout: Child | null; status?: 422 | 429 },
) {
  const { t } = words(c);
  return page(
    c,
    { title: t.promo.title, status: state.status ?? 200, narrow: true, back: '/billing/promo' },
    <>
      <h1 class="mb-6">{t.billing.title}</h1>
      {state.callout}
      <PromoForm c={c} typed={state.typed} faults={state.faults} />
      <p>
        <a class="link" href="/billing">
          {t.billing.title}
        </a>
      </p>
    </>,
  );
}
