/** The operator's prices: every version, and the form for a new one, whose effect is shown before it is added. */
import { Hono } from 'hono';
import * as z from 'zod';
import { addPrice, type PriceFault } from '../../billing/change-prices.ts';
import { emailsOf } from '../../db/account-limits.ts';
import { loadCatalogue } from '../../db/catalogue.ts';
import { database } from '../../db/client.ts';
import { listPriceChanges, listPrices } from '../../db/prices.ts';
import type { NumberMarks } from '../../domain/decimal-text.ts';
import { TARIFFS } from '../../domain/pricing.ts';
import { Callout } from '../components/callout.tsx';
import { type PortalContext, type PortalEnv, words } from '../frame/context.ts';
import { Choice, type Faults, fault, Line, readForm, type Typed } from '../frame/form.ts';
import { operator } from '../frame/guard.ts';
import { page } from '../frame/layout.tsx';
import { fieldInstant, Instant, OptionalMinute, UsdPerMillion } from './form.ts';
import { NewPriceForm } from './new-price-form.tsx';
import { operatorNav } from './operator-nav.tsx';
import { priceConfirmPage, SEEN } from './price-confirm.tsx';
import { PriceTable } from './price-table.tsx';

const PATH = '/operator/prices';
/** The suggested start of a new version leaves an hour to fill in the form and study its effect. */
const SUGGESTED_AHEAD_MS = 3_600_000;

const PriceForm = (marks: NumberMarks) =>
  z
    .object({
      modelId: z.string(fault('choice')).min(1, fault('choice')).max(128, fault('choice')),
      tariff: Choice(TARIFFS),
      fromMs: Instant,
      dailyFromMinute: OptionalMinute,
      dailyToMinute: OptionalMinute,
      cacheHitNanoUsd: UsdPerMillion(marks),
      cacheMissNanoUsd: UsdPerMillion(marks),
      // a free output price would let a response run on without ever using up credit
      outputNanoUsd: UsdPerMillion(marks).refine((nano) => nano > 0, fault('usd_per_million')),
      source: Line(200),
      step: z.string().default(''),
      confirm: z.string().max(128).default(''),
    })
    .refine(({ dailyFromMinute: from, dailyToMinute: to }) => (from === null) === (to === null), {
      path: ['dailyToMinute'],
      ...fault('minute'),
    });

/** The field that each refusal marks, and its fault. */
const FAULTS: Record<PriceFault, Faults> = {
  model_not_found: { modelId: 'choice' },
  price_not_found: {},
  price_too_soon: { fromMs: 'price_too_soon' },
  price_window_batch: { dailyFromMinute: 'price_window_batch' },
  price_window_empty: { dailyToMinute: 'price_window_empty' },
  price_same_instant: { fromMs: 'price_same_instant' },
  price_end_before_start: {},
  price_ended: {},
  price_unconfirmed: { confirm: 'price_unconfirmed' },
  price_cache_dearer: { cacheHitNanoUsd: 'price_cache_dearer' },
  price_batch_above_half: { outputNanoUsd: 'price_batch_above_half' },
};

export const pricesPage = new Hono<PortalEnv>();

pricesPage.use(operator);

pricesPage.get('/prices', (c) => show(c, {}));

pricesPage.post('/prices', async (c) => {
  const read = await readForm(c, PriceForm);
  if (!read.ok) return show(c, read);
  const { t } = words(c);
  const { step, confirm, ...row } = read.values;
  const order = { actor: c.get('person')!.id, nowMs: Date.now(), confirm, preview: step !== SEEN };
  const result = await addPrice(c.env, row, order);
  const confirmation = {
    c,
    title: t.operator.prices.previewTitle,
    submit: t.operator.prices.submitAdd,
    action: PATH,
    modelId: row.modelId,
    atMs: row.fromMs,
    effects: result.effects,
    typed: read.typed,
  };
  if (!result.ok) {
    const faults = FAULTS[result.reason];
    if (result.reason === 'price_unconfirmed') return priceConfirmPage({ ...confirmation, faults });
    return show(c, { typed: read.typed, faults });
  }
  if (order.preview) return priceConfirmPage(confirmation);
  return c.redirect(`${PATH}?added=${encodeURIComponent(result.priceId)}`, 303);
});

async function show(c: PortalContext, state: { typed?: Typed; faults?: Faults }) {
  const { t } = words(c);
  const names = t.operator.prices;
  const db = database(c.env);
  const nowMs = Date.now();
  const [models, prices, changes] = await Promise.all([
    loadCatalogue(db),
    listPrices(db),
    listPriceChanges(db),
  ]);
  const people = await emailsOf(
    db,
    changes.map(({ actor }) => actor),
  );
  // only ids of real versions are shown, so that a crafted link cannot put text on the page
  const versionIn = (parameter: string) => prices.find(({ id }) => id === c.req.query(parameter))?.id;
  const [added, ended] = [versionIn('added'), versionIn('ended')];
  return page(
    c,
    { title: names.title, status: state.faults ? 422 : 200, back: PATH },
    <>
      {await operatorNav(c, PATH)}
      <h1 class="mb-2">{names.title}</h1>
      <p class="mb-1 max-w-3xl">{names.lead}</p>
      <p class="muted mb-6 text-sm">{names.unit}</p>
      {added && <Callout tone="success">{names.addedNotice(added)}</Callout>}
      {ended && <Callout tone="success">{names.endedNotice(ended)}</Callout>}
      {models.map((model, index) => (
        <section aria-labelledby={`model-${index}`} class="mb-10">
          <h2 id={`model-${index}`} class="mb-2 wrap-anywhere">
            {model.name} <span class="muted font-mono text-sm font-normal">{model.id}</span>{' '}
            <a
              class="link text-sm font-normal"
              href={`/operator/models/${model.id}/end`}
              aria-label={`${t.operator.modelEnd.link}: ${model.id}`}
            >
              {t.operator.modelEnd.link}
            </a>
          </h2>
          <PriceTable
            c={c}
            title={model.name}
            prices={prices.filter(({ modelId }) => modelId === model.id)}
            changes={changes}
            people={people}
            nowMs={nowMs}
          />
        </section>
      ))}
      <NewPriceForm
        c={c}
        modelIds={models.map(({ id }) => id)}
        typed={state.typed ?? { fromMs: fieldInstant(nowMs + SUGGESTED_AHEAD_MS) }}
        faults={state.faults}
      />
    </>,
  );
}
