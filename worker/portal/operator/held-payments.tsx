/** Payments that wait for an operator: money that moved in another way than its order says, and the form to decide. */
import { Hono } from 'hono';
import * as z from 'zod';
import { decideHeld, type HeldDecision } from '../../billing/held-payments.ts';
import type { HeldReason } from '../../billing/receive.ts';
import { database } from '../../db/client.ts';
import { findHeld, type HeldKey, type HeldPayment, listHeld } from '../../db/held-payments.ts';
import type { NumberMarks } from '../../domain/decimal-text.ts';
import { Callout } from '../components/callout.tsx';
import { SelectField, TextField } from '../components/field.tsx';
import { Heads, Sheet } from '../components/sheet.tsx';
import { type PortalContext, type PortalEnv, words } from '../frame/context.ts';
import { Choice, type Faults, fault, Line, OptionalUsd, readForm, type Typed } from '../frame/form.ts';
import { operator } from '../frame/guard.ts';
import { page } from '../frame/layout.tsx';
import { notFoundPage } from '../frame/not-found.tsx';
import { operatorNav } from './operator-nav.tsx';

const PATH = '/operator/payments';
/** Enough to see what kind of trouble it is; deciding some shows the next. */
const SHOWN_MAX = 100;

const Key = z.object({
  order: z.string().max(64),
  kind: z.enum(['paid', 'reversed']),
  source: z.string().max(255).default(''),
});

const DecideForm = (marks: NumberMarks) =>
  Key.extend({
    decision: Choice(['credit', 'take', 'leave']),
    takenUsd: OptionalUsd(marks).default(null),
    note: Line(500),
  })
    .refine(({ decision, takenUsd }) => decision !== 'take' || takenUsd !== null, {
      path: ['takenUsd'],
      ...fault('amount'),
    })
    .transform(({ order, kind, source, decision, takenUsd, note }) => ({
      key: { orderId: order, kind, source },
      decision: (decision === 'take'
        ? { kind: decision, amountNanoUsd: takenUsd! }
        : { kind: decision }) as HeldDecision,
      note,
    }));

export const heldPaymentsPage = new Hono<PortalEnv>();

heldPaymentsPage.use(operator);

heldPaymentsPage.get('/payments', async (c) => {
  const names = words(c).t.operator.payments;
  const held = await listHeld(database(c.env), SHOWN_MAX);
  return page(
    c,
    { title: names.title },
    <>
      {await operatorNav(c, PATH)}
      <h1 class="mb-2">{names.title}</h1>
      <p class="mb-6 max-w-3xl">{names.lead}</p>
      {c.req.query('decided') !== undefined && <Callout tone="success">{names.decided}</Callout>}
      {held.length === 0 ? <p>{names.none}</p> : <HeldTable c={c} held={held} />}
    </>,
  );
});

heldPaymentsPage.get('/payments/decide', (c) => ask(c, c.req.query(), {}));

heldPaymentsPage.post('/payments/decide', async (c) => {
  const read = await readForm(c, DecideForm);
  if (!read.ok) return ask(c, read.typed, read);
  const command = { ...read.values, actor: c.get('person')!.id, nowMs: Date.now() };
  const result = await decideHeld(c.env, command);
  if (result.ok) return c.redirect(`${PATH}?decided`, 303);
  if (result.reason === 'not_found') return notFoundPage(c);
  const faults: Faults =
    result.reason === 'amount_out_of_bounds'
      ? { takenUsd: 'taken_bounds' }
      : { decision: 'decision_not_fitting' };
  return ask(c, read.typed, { typed: read.typed, faults });
});

function HeldTable({ c, held }: { c: PortalContext; held: readonly HeldPayment[] }) {
  const { t, f } = words(c);
  const names = t.operator.payments;
  return (
    <Sheet label={names.title}>
      <Heads
        names={[
          names.received,
          names.what,
          `#${names.ordered}`,
          names.reason,
          names.order,
          names.account,
          t.keys.actions,
        ]}
      />
      <tbody>
        {held.map((row) => (
          <tr>
            <td>{f.dateTime(row.receivedAtMs)}</td>
            <td>{whatText(c, row)}</td>
            <td class="num">{f.usd(row.amountNanoUsd)}</td>
            <td class="wraps min-w-64">{names.reasons[row.reason as HeldReason]}</td>
            <td class="font-mono">{row.orderId}</td>
            <td class="font-mono">
              <a class="link" href={`/operator/accounts/${row.accountId}`}>
                {row.accountId}
              </a>
            </td>
            <td>
              <a class="link" href={decideHref(row)} aria-label={`${names.decide}: ${row.orderId}`}>
                {names.decide}
              </a>
            </td>
          </tr>
        ))}
      </tbody>
    </Sheet>
  );
}

/** The kind and the provider's amount, whose currency decides how many decimal places it has. */
function whatText(c: PortalContext, { kind, amountCents, currency }: HeldPayment): string {
  const { t, locale } = words(c);
  const amount = new Intl.NumberFormat(locale, { style: 'currency', currency });
  const places = amount.resolvedOptions().maximumFractionDigits ?? 2;
  return `${t.operator.payments.kinds[kind]}: ${amount.format(amountCents / 10 ** places)}`;
}

function decideHref({ orderId, kind, source }: HeldKey): string {
  return `${PATH}/decide?${new URLSearchParams({ order: orderId, kind, source })}`;
}

async function ask(c: PortalContext, query: Typed, state: { typed?: Typed; faults?: Faults }) {
  const { t, f } = words(c);
  const names = t.operator.payments;
  const key = Key.safeParse(query).data;
  const held =
    key && (await findHeld(database(c.env), { orderId: key.order, kind: key.kind, source: key.source }));
  if (!key || !held) return notFoundPage(c);
  const first = held.kind === 'paid' ? 'credit' : 'take';
  return page(
    c,
    { title: names.decideTitle, narrow: true, status: state.faults ? 422 : 200, back: PATH },
    <>
      {await operatorNav(c, PATH)}
      <h1 class="mb-3">{names.decideTitle}</h1>
      <p class="mb-3 font-mono text-sm break-all">{held.orderId}</p>
      <p class="mb-3">
        {whatText(c, held)}. {names.reasons[held.reason as HeldReason]}{' '}
        {names.orderedText(f.usd(held.amountNanoUsd))}
      </p>
      <p class="muted mb-6 text-sm">{names.decideText}</p>
      <form method="post" action={`${PATH}/decide`} class="grid gap-5" novalidate>
        {Object.entries(key).map(([name, value]) => (
          <input type="hidden" name={name} value={value} />
        ))}
        <SelectField
          c={c}
          {...state}
          name="decision"
          label={names.decision}
          options={([first, 'leave'] as const).map((each) => [each, names.decisions[each]])}
        />
        {held.kind === 'reversed' && (
          <TextField
            c={c}
            {...state}
            name="takenUsd"
            label={names.taken}
            hint={names.takenHint(f.usd(held.amountNanoUsd))}
            inputmode="decimal"
          />
        )}
        <TextField c={c} {...state} name="note" label={t.operator.reconciliation.note} required />
        <div class="flex flex-wrap gap-3">
          <button class="btn btn-primary" type="submit">
            {names.submit}
          </button>
          <a class="btn" href={PATH}>
            {t.operator.reconciliation.cancel}
          </a>
        </div>
      </form>
    </>,
  );
}
