/** Billing: the balance, the way to add to it, and the ledger that it is the sum of. */
import { Hono } from 'hono';
import { z } from 'zod';
import { beginTopUp, canTopUp, TOP_UP_MAX, TOP_UP_MIN } from '../../billing/top-up.ts';
import { database } from '../../db/client.ts';
import { findOrder } from '../../db/payments.ts';
import { isId } from '../../domain/ids.ts';
import { nanoUsd, usd } from '../../domain/money.ts';
import type { Balance } from '../../domain/wallet.ts';
import { config } from '../../env.ts';
import { type PortalContext, type PortalEnv, words } from '../context.ts';
import { Choice, type Faults, OptionalUsd, readForm, type Typed } from '../form.ts';
import { signedIn } from '../guard.ts';
import { page } from '../layout.tsx';
import { TextField } from '../parts/field.tsx';
import { LedgerTable } from '../parts/ledger-table.tsx';
import { Money } from '../parts/money.tsx';
import { Notice } from '../parts/notice.tsx';
import { TILES, Tile } from '../parts/tile.tsx';

const AMOUNTS_USD = [10, 20, 50] as const;
const AMOUNT_CHOICES = ['10', '20', '50', 'other'] as const;
const LEDGER_PAGE = 25;

/** An amount that was typed counts, whichever button is pressed: nobody types one to pay another. */
const TopUpForm = z
  .object({ amount: Choice(AMOUNT_CHOICES), otherUsd: OptionalUsd })
  .transform(({ amount, otherUsd }) => otherUsd ?? (amount === 'other' ? nanoUsd(0) : usd(Number(amount))));

export const billingPage = new Hono<PortalEnv>();

billingPage.use(signedIn);

billingPage.get('/', (c) => show(c, {}));

billingPage.post('/', async (c) => {
  const read = await readForm(c, TopUpForm);
  if (!read.ok) return show(c, read);
  const request = { accountId: c.get('accountId'), amountNanoUsd: read.values, nowMs: Date.now() };
  const result = await beginTopUp(c.env, request);
  if (!result.ok) return show(c, { typed: read.typed, faults: { otherUsd: FAULTS[result.reason] } });
  return c.redirect(result.redirectUrl, 303);
});

const FAULTS = {
  amount_out_of_bounds: 'amount_bounds',
  provider_unavailable: 'payment_unavailable',
} as const;

async function show(c: PortalContext, state: { typed?: Typed; faults?: Faults }) {
  const { t } = words(c);
  const wallet = c.env.WALLET.getByName(c.get('accountId'));
  const before = Number(c.req.query('before'));
  const beforeSeq = Number.isSafeInteger(before) && before > 0 ? before : undefined;
  const [balance, ledger] = await Promise.all([
    wallet.balance(),
    wallet.ledger({ beforeSeq, limit: LEDGER_PAGE }),
  ]);
  return page(
    c,
    { title: t.billing.title, status: state.faults ? 422 : 200 },
    <>
      <h1 class="mb-6">{t.billing.title}</h1>
      {await returnNotice(c)}
      <Balances c={c} balance={balance} />
      {canTopUp(config(c.env)) ? (
        <TopUp c={c} typed={state.typed} faults={state.faults} />
      ) : (
        <p class="mb-12">{t.billing.closed}</p>
      )}
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
          {beforeSeq !== undefined && (
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
    </>,
  );
}

/** What became of the payment that the person comes back from: the order says it where one is named. */
async function returnNotice(c: PortalContext) {
  const { t, f } = words(c);
  const orderId = c.req.query('order');
  if (orderId && isId('order', orderId)) {
    const order = await findOrder(database(c.env), orderId);
    if (order?.accountId !== c.get('accountId')) return null;
    if (order.state === 'paid')
      return <Notice tone="success">{t.billing.paidNotice(f.usd(order.amountNanoUsd))}</Notice>;
    if (order.state === 'closed')
      return <Notice tone="error">{t.billing.droppedNotice(f.usd(order.amountNanoUsd))}</Notice>;
    return (
      <Notice tone="info">
        {t.billing.openNotice(f.usd(order.amountNanoUsd))}{' '}
        <a class="link" href={`/billing?order=${order.id}`}>
          {t.billing.checkAgain}
        </a>
      </Notice>
    );
  }
  const outcome = c.req.query('top_up');
  if (outcome === 'paid') return <Notice tone="success">{t.billing.arrivedNotice}</Notice>;
  if (outcome === 'declined') return <Notice tone="warning">{t.billing.declinedNotice}</Notice>;
  return null;
}

function Balances({ c, balance }: { c: PortalContext; balance: Balance }) {
  const { t } = words(c);
  return (
    <dl class={TILES}>
      <Tile
        label={t.billing.available}
        value={<Money c={c} amount={balance.availableNanoUsd} />}
        note={t.billing.availableNote}
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

function TopUp({ c, typed, faults }: { c: PortalContext; typed?: Typed; faults?: Faults }) {
  const { t, f } = words(c);
  const chosen = typed?.amount ?? '20';
  const amounts = [
    ...AMOUNTS_USD.map((each) => [String(each), f.usd(usd(each))]),
    ['other', t.billing.other],
  ];
  return (
    <section aria-labelledby="top-up" class="mb-12 max-w-xl">
      <h2 id="top-up" class="mb-1">
        {t.billing.topUpTitle}
      </h2>
      <p class="muted mb-4 text-sm">{t.billing.topUpNote}</p>
      <form method="post" action="/billing" class="grid gap-5" novalidate>
        <fieldset>
          <legend class="mb-2 text-sm font-medium">{t.billing.amount}</legend>
          <div class="flex flex-wrap gap-x-6 gap-y-3">
            {amounts.map(([value, text]) => (
              <label class="flex items-center gap-2">
                <input
                  type="radio"
                  name="amount"
                  value={value}
                  checked={value === chosen}
                  class="radio radio-sm"
                />
                {text}
              </label>
            ))}
          </div>
        </fieldset>
        <TextField
          c={c}
          typed={typed}
          faults={faults}
          name="otherUsd"
          label={`${t.billing.other} (USD)`}
          hint={t.billing.otherHint(f.usd(TOP_UP_MIN), f.usd(TOP_UP_MAX))}
          inputmode="decimal"
        />
        <button class="btn btn-primary justify-self-start" type="submit">
          {t.billing.submit}
        </button>
      </form>
    </section>
  );
}
