/** Billing: the balance, ways to add to it, payments, and the ledger whose sum is the balance. */
import { Hono } from 'hono';
import * as z from 'zod';
import { beginCardSetup, removeCard } from '../../billing/card.ts';
import { type AutoRechargeResult, setAutoRecharge } from '../../billing/recharge/rule.ts';
import { beginTopUp, canTopUp } from '../../billing/top-up.ts';
import { findAutoRecharge } from '../../db/auto-recharge.ts';
import { database } from '../../db/client.ts';
import { findBillingDetails, invoiceNumbers, saveBillingDetails } from '../../db/invoices.ts';
import { listOrders, type PaymentOrder } from '../../db/payments.ts';
import { rechargedInMonth } from '../../db/recharges.ts';
import { chargedSince } from '../../db/usage.ts';
import type { NumberMarks } from '../../domain/decimal-text.ts';
import { isPrintable } from '../../domain/invoice.ts';
import type { Entry } from '../../domain/ledger.ts';
import { nanoUsd, usd } from '../../domain/money.ts';
import type { Balance } from '../../domain/wallet.ts';
import type { Fault } from '../../i18n/en/index.ts';
import { ledgerPage } from '../../wallet/ledger-page.ts';
import { Callout } from '../components/callout.tsx';
import { Money } from '../components/money.tsx';
import { TILES, Tile } from '../components/tile.tsx';
import { TrialCallout } from '../components/trial-callout.tsx';
import { Writable } from '../components/writable.tsx';
import { type PortalContext, type PortalEnv, words } from '../frame/context.ts';
import { Choice, type Faults, Name, OptionalUsd, readForm, type Typed } from '../frame/form.ts';
import { allowed, signedIn } from '../frame/guard.ts';
import { page } from '../frame/layout.tsx';
import { OwedCallout, returnCallout } from './billing-callouts.tsx';
import { BillingDetails, COUNTRIES } from './billing-details.tsx';
import { LedgerTable } from './ledger-table.tsx';
import { PaymentsTable } from './payments-table.tsx';
import { PromoForm } from './promo-form.tsx';
import { RechargeSection } from './recharge-section.tsx';
import { AMOUNT_CHOICES, TopUpForm } from './top-up-form.tsx';

const LEDGER_PAGE = 25;
const PAYMENTS_SHOWN = 25;
/** The daily spend is averaged over the last week, so that it always includes one weekend. */
const AVERAGED_DAYS = 7;
const DAY_MS = 86_400_000;

const PurchaseOrder = z.union([z.literal('').transform(() => null), Name.refine(isPrintable)], {
  error: 'unprintable_letters',
});

/** A typed amount wins over the selected one: a person who types an amount means to pay that. */
const TopUpFields = (marks: NumberMarks) =>
  z
    .object({
      amount: Choice(AMOUNT_CHOICES),
      otherUsd: OptionalUsd(marks),
      purchaseOrder: PurchaseOrder.optional(),
    })
    .transform(({ amount, otherUsd, purchaseOrder }) => ({
      amountNanoUsd: otherUsd ?? (amount === 'other' ? nanoUsd(0) : usd(Number(amount))),
      purchaseOrder,
    }));

const Printable = Name.refine(isPrintable, { error: 'unprintable_letters' });
const OptionalPrintable = z.union([z.literal(''), Printable], { error: 'unprintable_letters' });
const DetailsFields = z.object({
  legalName: Printable,
  street: Printable,
  city: OptionalPrintable,
  country: z.string().refine((code) => COUNTRIES.includes(code), { error: 'choice' }),
  taxId: OptionalPrintable,
});

/** An amount of the auto-recharge rule. An empty field reads as 0, which the rule's bounds refuse. */
const RuleAmount = (marks: NumberMarks) => OptionalUsd(marks).transform((amount) => amount ?? nanoUsd(0));
const RuleFields = (marks: NumberMarks) =>
  z.object({ belowUsd: RuleAmount(marks), rechargeUsd: RuleAmount(marks), monthlyMaxUsd: RuleAmount(marks) });

const FAULTS = {
  amount_out_of_bounds: 'amount_bounds',
  provider_unavailable: 'payment_unavailable',
} as const;

/** The field that each refusal of a rule marks, and its fault. */
const RULE_FAULTS = {
  below_out_of_bounds: { belowUsd: 'below_bounds' },
  amount_out_of_bounds: { rechargeUsd: 'amount_bounds' },
  amount_too_small: { rechargeUsd: 'recharge_too_small' },
  monthly_max_out_of_bounds: { monthlyMaxUsd: 'monthly_max_bounds' },
  no_card: { card: 'no_card' },
} as const satisfies Record<Extract<AutoRechargeResult, { ok: false }>['reason'], Record<string, Fault>>;

export const billingPage = new Hono<PortalEnv>();

billingPage.use(signedIn, allowed('billing'));

billingPage.get('/', (c) => show(c, {}));

billingPage.post('/', async (c) => {
  const read = await readForm(c, TopUpFields);
  if (!read.ok) return show(c, read);
  const result = await beginTopUp(c.env, { ...read.values, ...here(c) });
  if (!result.ok) return show(c, { typed: read.typed, faults: { otherUsd: FAULTS[result.reason] } });
  return c.redirect(result.redirectUrl, 303);
});

billingPage.post('/details', async (c) => {
  const read = await readForm(c, DetailsFields);
  if (!read.ok) return show(c, read);
  const { legalName, street, city, country, taxId } = read.values;
  const { accountId, nowMs } = here(c);
  const buyer = {
    legalName,
    address: [street, city].filter(Boolean).join('\n'),
    country,
    taxId: taxId || null,
  };
  const actor = c.get('person')!.id;
  const entry = { atMs: nowMs, actor, action: 'billing.details', subject: accountId, detail: {}, accountId };
  await saveBillingDetails(database(c.env), { accountId, buyer, nowMs, entry });
  return c.redirect('/billing?details=saved#details', 303);
});

billingPage.post('/card', async (c) => {
  if (!canTopUp(c.env)) return show(c, { faults: { card: 'payment_unavailable' } });
  const result = await beginCardSetup(c.env, here(c));
  return result.ok
    ? c.redirect(result.redirectUrl, 303)
    : show(c, { faults: { card: FAULTS[result.reason] } });
});

billingPage.post('/card/remove', async (c) => {
  const result = await removeCard(c.env, here(c));
  if (!result.ok) return show(c, { faults: { card: FAULTS[result.reason] } });
  return c.redirect('/billing?card=removed#recharge', 303);
});

billingPage.post('/recharge', async (c) => {
  const read = await readForm(c, RuleFields);
  if (!read.ok) return show(c, read);
  const { belowUsd, rechargeUsd, monthlyMaxUsd } = read.values;
  const rule = { belowNanoUsd: belowUsd, amountNanoUsd: rechargeUsd, monthlyMaxNanoUsd: monthlyMaxUsd };
  const result = await setAutoRecharge(c.env, { ...here(c), rule });
  if (!result.ok) return show(c, { typed: read.typed, faults: RULE_FAULTS[result.reason] });
  return c.redirect('/billing?recharge=on#recharge', 303);
});

billingPage.post('/recharge/off', async (c) => {
  await setAutoRecharge(c.env, { ...here(c), rule: null });
  return c.redirect('/billing?recharge=off#recharge', 303);
});

/** The account that the page shows, and the current time. */
function here(c: PortalContext) {
  return { accountId: c.get('accountId'), nowMs: Date.now() };
}

async function show(c: PortalContext, state: { typed?: Typed; faults?: Faults }) {
  const { t } = words(c);
  const { accountId, nowMs } = here(c);
  const db = database(c.env);
  const wallet = c.env.WALLET.getByName(accountId);
  const before = Number(c.req.query('before'));
  const beforeSeq = Number.isSafeInteger(before) && before > 0 ? before : undefined;
  const [balance, ledger, orders, rule, rechargedNanoUsd, chargedNanoUsd, buyer, invoices] =
    await Promise.all([
      wallet.balance(),
      ledgerPage(c.env, accountId, { beforeSeq, limit: LEDGER_PAGE }),
      listOrders(db, accountId, PAYMENTS_SHOWN),
      findAutoRecharge(db, accountId),
      rechargedInMonth(db, accountId, nowMs),
      chargedSince(db, accountId, nowMs - AVERAGED_DAYS * DAY_MS),
      findBillingDetails(db, accountId),
      invoiceNumbers(db, accountId),
    ]);
  return page(
    c,
    {
      title: t.billing.title,
      status: state.faults ? 422 : 200,
      back: c.req.method === 'GET' ? undefined : '/billing',
    },
    <>
      <h1 class="mb-6">{t.billing.title}</h1>
      {await returnCallout(c, rule)}
      <TrialCallout c={c} />
      {c.req.query('details') === 'saved' && <Callout tone="success">{t.billing.details.saved}</Callout>}
      {state.faults?.card && <Callout tone="error">{t.faults[state.faults.card]}</Callout>}
      <OwedCallout c={c} balance={balance} />
      <Balances c={c} balance={balance} perDayNanoUsd={chargedNanoUsd / AVERAGED_DAYS} />
      <Writable c={c} area="billing">
        <div class="grid gap-x-16 lg:grid-cols-2">
          <div>
            {canTopUp(c.env) ? <TopUpForm c={c} {...state} /> : <p class="mb-12">{t.billing.closed}</p>}
            <PromoForm c={c} />
          </div>
          <div>
            {canTopUp(c.env) && (
              <RechargeSection c={c} rule={rule} rechargedNanoUsd={rechargedNanoUsd} {...state} />
            )}
            <BillingDetails c={c} buyer={buyer} {...state} />
          </div>
        </div>
      </Writable>
      <PaymentsSection c={c} orders={orders} invoices={invoices} />
      <LedgerSection c={c} ledger={ledger} isFirstPage={beforeSeq === undefined} />
    </>,
  );
}

function PaymentsSection(props: {
  c: PortalContext;
  orders: readonly PaymentOrder[];
  invoices: ReadonlyMap<string, number>;
}) {
  const { c, orders, invoices } = props;
  const { t } = words(c);
  return (
    <section aria-labelledby="payments" class="mb-12">
      <h2 id="payments" class="mb-1">
        {t.billing.paymentsTitle}
      </h2>
      <p class="muted mb-3 text-sm">{t.billing.paymentsNote}</p>
      {orders.length === 0 ? (
        <p>{t.billing.paymentsEmpty}</p>
      ) : (
        <PaymentsTable c={c} orders={orders} nowMs={Date.now()} invoices={invoices} />
      )}
    </section>
  );
}

function LedgerSection(props: {
  c: PortalContext;
  ledger: { entries: readonly Entry[]; nextBeforeSeq: number | null };
  isFirstPage: boolean;
}) {
  const { c, ledger, isFirstPage } = props;
  const { t } = words(c);
  return (
    <section aria-labelledby="ledger">
      <h2 id="ledger" class="mb-1">
        {t.billing.ledgerTitle}
      </h2>
      <p class="muted mb-3 text-sm">{t.billing.ledgerNote}</p>
      {ledger.entries.length === 0 ? (
        <p>{t.billing.empty}</p>
      ) : (
        <LedgerTable c={c} entries={ledger.entries} />
      )}
      <p class="mt-4 flex gap-6 text-sm">
        {!isFirstPage && (
          <a class="link" href="/billing#ledger">
            {t.billing.newest}
          </a>
        )}
        {ledger.nextBeforeSeq !== null && (
          <a class="link" href={`/billing?before=${ledger.nextBeforeSeq}#ledger`}>
            {t.billing.older}
          </a>
        )}
      </p>
    </section>
  );
}

function Balances(props: { c: PortalContext; balance: Balance; perDayNanoUsd: number }) {
  const { c, balance, perDayNanoUsd } = props;
  const { t, f } = words(c);
  const daysLeft = Math.floor(balance.availableNanoUsd / perDayNanoUsd);
  return (
    <dl class={TILES}>
      <Tile
        label={t.billing.available}
        value={<Money c={c} amount={balance.availableNanoUsd} />}
        note={perDayNanoUsd > 0 ? t.billing.daysLeft(daysLeft, f.count(daysLeft)) : t.billing.availableNote}
      />
      <Tile
        label={t.billing.granted}
        value={<Money c={c} amount={balance.grantedNanoUsd} />}
        note={t.billing.grantedNote}
      />
      <Tile
        label={t.billing.paid}
        value={<Money c={c} amount={balance.paidNanoUsd} />}
        note={t.billing.paidNote}
      />
      <Tile
        label={t.billing.held}
        value={<Money c={c} amount={balance.heldNanoUsd} />}
        note={t.billing.heldNote}
      />
    </dl>
  );
}
