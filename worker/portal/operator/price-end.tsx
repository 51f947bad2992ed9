/** Ends a price version in two steps: the operator chooses an instant, sees the effect, and confirms. */
import { Hono } from 'hono';
import * as z from 'zod';
import { endPrice, type PriceFault } from '../../billing/change-prices.ts';
import { database } from '../../db/client.ts';
import { findPrice, type PriceRow } from '../../db/prices.ts';
import { TextField } from '../components/field.tsx';
import { type PortalContext, type PortalEnv, words } from '../frame/context.ts';
import { type Faults, readForm, type Typed } from '../frame/form.ts';
import { operator } from '../frame/guard.ts';
import { page } from '../frame/layout.tsx';
import { notFoundPage } from '../frame/not-found.tsx';
import { fieldInstant, Instant } from './form.ts';
import { operatorNav } from './operator-nav.tsx';
import { priceConfirmPage, SEEN } from './price-confirm.tsx';

const PATH = '/operator/prices/end';

const EndForm = z.object({
  version: z.string().max(256).default(''),
  toMs: Instant,
  step: z.string().default(''),
  confirm: z.string().max(128).default(''),
});

/** The faults that each refusal marks. A refusal without an entry means that the version does not exist: a 404 page. */
const FAULTS: Partial<Record<PriceFault, Faults>> = {
  price_too_soon: { toMs: 'price_too_soon' },
  price_end_before_start: { toMs: 'price_end_before_start' },
  price_ended: { toMs: 'price_ended' },
  price_unconfirmed: { confirm: 'price_unconfirmed' },
  price_batch_above_half: { toMs: 'price_batch_above_half' },
};

export const priceEndPage = new Hono<PortalEnv>();

priceEndPage.use(operator);

priceEndPage.get('/prices/end', async (c) => {
  const row = await findPrice(database(c.env), c.req.query('version') ?? '');
  return row ? ask(c, row, {}) : notFoundPage(c);
});

priceEndPage.post('/prices/end', async (c) => {
  const read = await readForm(c, EndForm);
  const row = await findPrice(database(c.env), read.typed.version ?? '');
  if (row === null) return notFoundPage(c);
  if (!read.ok) return ask(c, row, read);
  const { t } = words(c);
  const { version, toMs, step, confirm } = read.values;
  const order = { actor: c.get('person')!.id, nowMs: Date.now(), confirm, preview: step !== SEEN };
  const result = await endPrice(c.env, { priceId: version, toMs }, order);
  const confirmation = {
    c,
    title: t.operator.prices.endTitle(version),
    submit: t.operator.prices.submitEnd,
    action: PATH,
    modelId: row.modelId,
    atMs: toMs,
    effects: result.effects,
    typed: read.typed,
  };
  if (!result.ok) {
    const faults = FAULTS[result.reason];
    if (faults === undefined) return notFoundPage(c);
    if (result.reason === 'price_unconfirmed') return priceConfirmPage({ ...confirmation, faults });
    return ask(c, row, { typed: read.typed, faults });
  }
  if (order.preview) return priceConfirmPage(confirmation);
  return c.redirect(`/operator/prices?ended=${encodeURIComponent(version)}`, 303);
});

async function ask(c: PortalContext, row: PriceRow, state: { typed?: Typed; faults?: Faults }) {
  const { t } = words(c);
  const names = t.operator.prices;
  const title = names.endTitle(row.id);
  const value = row.toMs === null ? undefined : fieldInstant(row.toMs);
  return page(
    c,
    { title, status: state.faults ? 422 : 200, back: '/operator/prices' },
    <>
      {await operatorNav(c, '/operator/prices')}
      <h1 class="mb-3 break-words">{title}</h1>
      <p class="mb-6">{names.endText}</p>
      <form method="post" action={PATH} class="grid max-w-xl gap-5" novalidate>
        <input type="hidden" name="version" value={row.id} />
        <TextField
          c={c}
          {...state}
          name="toMs"
          type="datetime-local"
          label={names.toField}
          value={value}
          required
        />
        <div class="flex flex-wrap gap-3">
          <button class="btn btn-primary" type="submit">
            {names.preview}
          </button>
          <a class="btn" href="/operator/prices">
            {names.cancel}
          </a>
        </div>
      </form>
    </>,
  );
}
