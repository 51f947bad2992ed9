/** The operator's promo codes: each with its number of redemptions, and the form for a new one. */
import { Hono } from 'hono';
import * as z from 'zod';
import {
  createPromoCode,
  PROMO_AMOUNT_MAX,
  PROMO_CODE,
  PROMO_REDEMPTIONS_MAX,
  type PromoCodeFault,
} from '../../billing/promo-codes.ts';
import { database } from '../../db/client.ts';
import { listPromoCodes } from '../../db/promo-codes.ts';
import type { NumberMarks } from '../../domain/decimal-text.ts';
import { nanoUsd } from '../../domain/money.ts';
import { Callout } from '../components/callout.tsx';
import { TextField } from '../components/field.tsx';
import { Money } from '../components/money.tsx';
import { Heads, Sheet } from '../components/sheet.tsx';
import { type PortalContext, type PortalEnv, words } from '../frame/context.ts';
import { type Faults, fault, readForm, type Typed, Usd, Whole } from '../frame/form.ts';
import { operator } from '../frame/guard.ts';
import { page } from '../frame/layout.tsx';
import { OptionalInstant } from './form.ts';
import { operatorNav } from './operator-nav.tsx';

const PATH = '/operator/promo-codes';
const CODES_SHOWN_MAX = 100;

const CodeForm = (marks: NumberMarks) =>
  z.object({
    code: z.string(fault('promo_code')).toUpperCase().regex(PROMO_CODE, fault('promo_code')),
    amountNanoUsd: Usd(marks).refine((amount) => amount > 0 && amount <= PROMO_AMOUNT_MAX, fault('amount')),
    redemptionsMax: Whole(marks, { min: 1, max: PROMO_REDEMPTIONS_MAX }),
    expiresAtMs: OptionalInstant,
  });

const FAULTS: Record<PromoCodeFault, Faults> = {
  promo_code_taken: { code: 'promo_code_taken' },
  promo_expires_in_past: { expiresAtMs: 'promo_expires_in_past' },
};

export const promoCodesPage = new Hono<PortalEnv>();

promoCodesPage.use(operator);

promoCodesPage.get('/promo-codes', (c) => show(c, {}));

promoCodesPage.post('/promo-codes', async (c) => {
  const read = await readForm(c, CodeForm);
  if (!read.ok) return show(c, read);
  const order = { code: read.values, actor: c.get('person')!.id, nowMs: Date.now() };
  const result = await createPromoCode(c.env, order);
  if (!result.ok) return show(c, { typed: read.typed, faults: FAULTS[result.reason] });
  return c.redirect(`${PATH}?made=${read.values.code}`, 303);
});

async function show(c: PortalContext, state: { typed?: Typed; faults?: Faults }) {
  const { t, f } = words(c);
  const names = t.operator.promo;
  const codes = await listPromoCodes(database(c.env), CODES_SHOWN_MAX);
  const created = codes.find(({ code }) => code === c.req.query('made'));
  const heads = [names.code, `#${names.amount}`, `#${names.redeemed}`, names.expires, names.created];
  return page(
    c,
    { title: names.title, status: state.faults ? 422 : 200, back: PATH },
    <>
      {await operatorNav(c, PATH)}
      <h1 class="mb-2">{names.title}</h1>
      <p class="mb-6">{names.lead}</p>
      {created && <Callout tone="success">{names.made(created.code)}</Callout>}
      {codes.length === 0 ? (
        <p class="muted">{names.empty}</p>
      ) : (
        <Sheet label={names.title}>
          <Heads names={heads} />
          <tbody>
            {codes.map((code) => (
              <tr>
                <th scope="row" class="font-mono">
                  {code.code}
                </th>
                <td class="num">
                  <Money c={c} amount={nanoUsd(code.amountNanoUsd)} />
                </td>
                <td class="num">
                  {f.count(code.redeemed)} / {f.count(code.redemptionsMax)}
                </td>
                <td>{code.expiresAtMs === null ? names.never : f.dateTime(code.expiresAtMs)}</td>
                <td>{f.dateTime(code.createdAtMs)}</td>
              </tr>
            ))}
          </tbody>
        </Sheet>
      )}
      <NewCodeForm c={c} {...state} />
    </>,
  );
}

function NewCodeForm({ c, typed, faults }: { c: PortalContext; typed?: Typed; faults?: Faults }) {
  const { t } = words(c);
  const names = t.operator.promo;
  const fields = { c, typed, faults };
  return (
    <section aria-labelledby="new" class="mt-12 max-w-3xl">
      <h2 id="new" class="mb-4">
        {names.newTitle}
      </h2>
      {faults && <Callout tone="error">{t.faults.summary}</Callout>}
      <form method="post" action={PATH} class="grid items-start gap-5 sm:grid-cols-2" novalidate>
        <TextField {...fields} name="code" label={names.code} hint={names.codeHint} required />
        <TextField {...fields} name="amountNanoUsd" label={names.amountField} inputmode="decimal" required />
        <TextField {...fields} name="redemptionsMax" label={names.max} inputmode="numeric" required />
        <TextField
          {...fields}
          name="expiresAtMs"
          type="datetime-local"
          label={names.expires}
          hint={names.expiresHint}
        />
        <div class="sm:col-span-2">
          <button class="btn btn-primary" type="submit">
            {names.submit}
          </button>
        </div>
      </form>
    </section>
  );
}
