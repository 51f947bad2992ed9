/** The operator's comparison prices: other providers' list prices, a form for a new one, and the end of one. */
import { Hono } from 'hono';
import * as z from 'zod';
import { database } from '../../db/client.ts';
import {
  addReferencePrice,
  endReferencePrice,
  loadReferencePrices,
  REFERENCE_PRICES_MAX,
  type ReferencePrice,
} from '../../db/reference-prices.ts';
import type { NumberMarks } from '../../domain/decimal-text.ts';
import { newId } from '../../domain/ids.ts';
import { PRICE_KINDS } from '../../domain/price-change.ts';
import { Callout } from '../components/callout.tsx';
import { TextField } from '../components/field.tsx';
import { Heads, Sheet } from '../components/sheet.tsx';
import { type PortalContext, type PortalEnv, words } from '../frame/context.ts';
import { type Faults, Line, readForm, type Typed } from '../frame/form.ts';
import { operator } from '../frame/guard.ts';
import { page } from '../frame/layout.tsx';
import { fieldInstant, Instant, UsdPerMillion } from './form.ts';
import { operatorNav } from './operator-nav.tsx';
import { kindNames } from './price-effect.tsx';

const PATH = '/operator/comparison';

const PriceForm = (marks: NumberMarks) =>
  z.object({
    name: Line(80),
    fromMs: Instant,
    cacheHitNanoUsd: UsdPerMillion(marks),
    cacheMissNanoUsd: UsdPerMillion(marks),
    outputNanoUsd: UsdPerMillion(marks),
    source: Line(300),
  });

export const comparisonPage = new Hono<PortalEnv>();

comparisonPage.use(operator);

comparisonPage.get('/comparison', (c) => show(c, {}));

comparisonPage.post('/comparison', async (c) => {
  const read = await readForm(c, PriceForm);
  if (!read.ok) return show(c, read);
  const nowMs = Date.now();
  const row = { id: newId('ref', nowMs), toMs: null, ...read.values };
  const isAdded = await addReferencePrice(database(c.env), row, { atMs: nowMs, actor: c.get('person')!.id });
  if (!isAdded) return show(c, { typed: read.typed, faults: { name: 'too_many' } });
  return c.redirect(PATH, 303);
});

comparisonPage.post('/comparison/:id/end', async (c) => {
  const nowMs = Date.now();
  const entry = { atMs: nowMs, actor: c.get('person')!.id };
  await endReferencePrice(database(c.env), { id: c.req.param('id'), toMs: nowMs }, entry);
  return c.redirect(PATH, 303);
});

async function show(c: PortalContext, state: { typed?: Typed; faults?: Faults }) {
  const { t } = words(c);
  const names = t.operator.comparison;
  const rows = await loadReferencePrices(database(c.env));
  return page(
    c,
    { title: names.title, status: state.faults ? 422 : 200, back: PATH },
    <>
      {await operatorNav(c, PATH)}
      <h1 class="mb-2">{names.title}</h1>
      <p class="mb-6 max-w-3xl">{names.lead(REFERENCE_PRICES_MAX)}</p>
      <PriceRows c={c} rows={rows} />
      <NewForm c={c} typed={state.typed ?? { fromMs: fieldInstant(Date.now()) }} faults={state.faults} />
    </>,
  );
}

function PriceRows({ c, rows }: { c: PortalContext; rows: readonly ReferencePrice[] }) {
  const { t, f } = words(c);
  const [names, prices] = [t.operator.comparison, t.operator.prices];
  return (
    <Sheet label={names.title}>
      <Heads
        names={[names.name, ...kindNames(c).map((name) => `#${name}`), prices.from, prices.to, prices.source]}
      />
      <tbody>
        {rows.map((row) => (
          <tr class={row.toMs === null ? undefined : 'muted'}>
            <th scope="row" class="wraps">
              {row.name}
            </th>
            {PRICE_KINDS.map((kind) => (
              <td class="num">{f.usdPerMillion(row[kind])}</td>
            ))}
            <td>{f.date(row.fromMs)}</td>
            <td>
              {row.toMs === null ? (
                <form method="post" action={`${PATH}/${row.id}/end`}>
                  <button class="link" type="submit" aria-label={`${names.end}: ${row.name}`}>
                    {names.end}
                  </button>
                </form>
              ) : (
                f.date(row.toMs)
              )}
            </td>
            <td class="wraps break-words">{row.source}</td>
          </tr>
        ))}
      </tbody>
    </Sheet>
  );
}

function NewForm(fields: { c: PortalContext; typed: Typed; faults?: Faults }) {
  const { t } = words(fields.c);
  const [names, prices] = [t.operator.comparison, t.operator.prices];
  return (
    <section aria-labelledby="new" class="mt-12 max-w-3xl">
      <h2 id="new" class="mb-4">
        {names.newTitle}
      </h2>
      {fields.faults && <Callout tone="error">{t.faults.summary}</Callout>}
      <form method="post" action={PATH} class="grid items-start gap-5 sm:grid-cols-6" novalidate>
        <div class="sm:col-span-4">
          <TextField {...fields} name="name" label={names.name} hint={names.nameHint} required />
        </div>
        <div class="sm:col-span-2">
          <TextField {...fields} name="fromMs" type="datetime-local" label={prices.fromField} required />
        </div>
        {(
          [
            ['cacheHitNanoUsd', prices.cacheHit],
            ['cacheMissNanoUsd', prices.cacheMiss],
            ['outputNanoUsd', prices.output],
          ] as const
        ).map(([name, label]) => (
          <div class="sm:col-span-2">
            <TextField {...fields} name={name} label={label} inputmode="decimal" required />
          </div>
        ))}
        <div class="sm:col-span-6">
          <TextField {...fields} name="source" label={prices.source} hint={names.sourceHint} required />
        </div>
        <div class="sm:col-span-6">
          <button class="btn btn-primary" type="submit">
            {names.submit}
          </button>
        </div>
      </form>
    </section>
  );
}
