/** The public pricing page: prices, and a calculator of a monthly cost that shows its arithmetic. */
import { Hono } from 'hono';
import * as z from 'zod';
import { loadCatalogue, type Model } from '../../db/catalogue.ts';
import { database } from '../../db/client.ts';
import { loadReferencePrices, type ReferencePrice } from '../../db/reference-prices.ts';
import type { NumberMarks } from '../../domain/decimal-text.ts';
import {
  type Estimate,
  estimate,
  estimateAtListPrice,
  type TariffPrices,
  type Workload,
} from '../../domain/estimate.ts';
import { exampleModelId } from '../../domain/example-model.ts';
import { onSale } from '../../domain/model-end.ts';
import type { PriceKind } from '../../domain/price-change.ts';
import { shownReferences } from '../../domain/price-comparison.ts';
import type { DatedPrice } from '../../domain/pricing.ts';
import { unservedModels } from '../../gateway/unserved-models.ts';
import { Callout } from '../components/callout.tsx';
import { SelectField, TextField } from '../components/field.tsx';
import { Heads, Sheet } from '../components/sheet.tsx';
import { TILES, Tile } from '../components/tile.tsx';
import { type PortalContext, type PortalEnv, words } from '../frame/context.ts';
import { type Faults, readFields, type Typed, Whole } from '../frame/form.ts';
import { page } from '../frame/layout.tsx';
import { Prices, pricesOf } from './price-list.tsx';

const PERCENT = { min: 0, max: 100 };
const WorkloadFields = (marks: NumberMarks) =>
  z.object({
    requestsPerDay: Whole(marks, { min: 1, max: 10_000_000 }),
    promptTokens: Whole(marks, { min: 1, max: 200_000 }),
    cachedPercent: Whole(marks, PERCENT),
    outputTokens: Whole(marks, { min: 1, max: 100_000 }),
    batchPercent: Whole(marks, PERCENT),
    offPeakPercent: Whole(marks, PERCENT),
  }) satisfies z.ZodType<Workload>;

/** Initial values: the workload of a small product with a chat on a reasoning model. */
const DEFAULTS: Typed = {
  requestsPerDay: '1000',
  promptTokens: '1500',
  cachedPercent: '50',
  outputTokens: '1200',
  batchPercent: '0',
  offPeakPercent: '33',
};

export const pricingPage = new Hono<PortalEnv>();

pricingPage.get('/', async (c) => {
  const { t } = words(c);
  const db = database(c.env);
  const [models, references] = await Promise.all([loadCatalogue(db), loadReferencePrices(db)]);
  const nowMs = Date.now();
  const others = shownReferences(references, nowMs);
  const catalogue = onSale(models, nowMs);
  const waitUntil = (promise: Promise<unknown>) => c.executionCtx.waitUntil(promise);
  const unserved = await unservedModels(c.env, catalogue, { nowMs, waitUntil });
  const typed: Typed = { ...DEFAULTS, model: exampleModelId(catalogue, nowMs), ...c.req.query() };
  const read = readFields(c, typed, WorkloadFields);
  const model = catalogue.find(({ id }) => id === typed.model) ?? catalogue[0];
  const tariffs = model && tariffsOf(model, nowMs);
  return page(
    c,
    { title: t.pricing.title, status: read.ok ? 200 : 422 },
    <>
      <h1 class="mb-2">{t.pricing.title}</h1>
      <p class="mb-10 max-w-2xl">{t.pricing.lead}</p>
      <Prices c={c} catalogue={models} others={others} unserved={unserved} nowMs={nowMs} />
      <section aria-labelledby="calculator" class="mt-14">
        <h2 id="calculator" class="mb-1">
          {t.pricing.calculator}
        </h2>
        <p class="muted mb-5">{t.pricing.calculatorLead}</p>
        {!read.ok && <Callout tone="error">{t.faults.summary}</Callout>}
        <WorkloadForm c={c} catalogue={catalogue} typed={typed} faults={read.ok ? undefined : read.faults} />
        {!tariffs && <p>{t.pricing.notSold}</p>}
        {tariffs && read.ok && (
          <Result c={c} workload={read.values} result={estimate(read.values, tariffs)} others={others} />
        )}
      </section>
    </>,
  );
});

/** The model's prices today. Of several daily windows the cheapest counts as off-peak. @returns null: not sold all day */
function tariffsOf(model: Model, nowMs: number): TariffPrices<DatedPrice> | null {
  const day = pricesOf(model, nowMs);
  const standard = day.find(({ dailyFromMinute }) => dailyFromMinute === null);
  if (!standard) return null;
  const cheapest = (prices: readonly DatedPrice[]) =>
    prices.toSorted((a, b) => a.outputNanoUsd - b.outputNanoUsd)[0] ?? null;
  return {
    standard,
    offPeak: cheapest(day.filter(({ dailyFromMinute }) => dailyFromMinute !== null)),
    batch: cheapest(pricesOf(model, nowMs, 'batch')),
  };
}

function WorkloadForm(props: {
  c: PortalContext;
  catalogue: readonly Model[];
  typed: Typed;
  faults?: Faults;
}) {
  const { c, catalogue, ...fields } = props;
  const names = words(c).t.pricing;
  const number = { c, ...fields, inputmode: 'numeric' } as const;
  return (
    <form
      method="get"
      action="/pricing#calculator"
      class="mb-8 grid items-start gap-5 sm:grid-cols-2 lg:grid-cols-4"
    >
      <div class="sm:col-span-2 lg:col-span-1">
        <SelectField
          c={c}
          {...fields}
          name="model"
          label={names.model}
          options={catalogue.map(({ id, name }) => [id, name])}
        />
      </div>
      <TextField {...number} name="requestsPerDay" label={names.requestsPerDay} />
      <TextField {...number} name="promptTokens" label={names.promptTokens} />
      <TextField {...number} name="cachedPercent" label={names.cachedPercent} hint={names.cachedHint} />
      <TextField {...number} name="outputTokens" label={names.outputTokens} hint={names.outputHint} />
      <TextField {...number} name="batchPercent" label={names.batchPercent} hint={names.batchHint} />
      <TextField {...number} name="offPeakPercent" label={names.offPeakPercent} />
      <div class="sm:col-span-2 lg:col-span-4">
        <button class="btn btn-primary" type="submit">
          {names.submit}
        </button>
      </div>
    </form>
  );
}

function Result(props: {
  c: PortalContext;
  workload: Workload;
  result: Estimate;
  others: readonly ReferencePrice[];
}) {
  const { c, workload, result, others } = props;
  const { t, f } = words(c);
  const names = t.pricing;
  const total = Number(result.totalNanoUsd);
  const kinds: Record<PriceKind, string> = {
    cacheHitNanoUsd: t.landing.cacheHit,
    cacheMissNanoUsd: t.landing.cacheMiss,
    outputNanoUsd: t.landing.output,
  };
  return (
    <>
      <dl class={TILES}>
        <Tile label={names.total} value={f.usd(total)} />
        <Tile label={names.perRequest} value={f.usdSmall(total / result.requests)} />
      </dl>
      <h3 class="mb-3 font-semibold">{names.arithmetic}</h3>
      <Sheet label={names.arithmetic}>
        <thead>
          <tr>
            <th scope="col">{names.part}</th>
            <th scope="col">{names.kind}</th>
            <th scope="col" class="num">
              {names.count}
            </th>
            <th scope="col" class="num">
              {names.price}
            </th>
            <th scope="col" class="num">
              {names.cost}
            </th>
          </tr>
        </thead>
        <tbody>
          {result.parts.flatMap(({ name, requests, lines }) =>
            lines.map((line) => (
              <tr>
                <th scope="row" class="font-normal">
                  {names.tariffs[name]}, {f.count(requests)}
                </th>
                <td>{kinds[line.kind]}</td>
                <td class="num">{f.count(Number(line.tokens))}</td>
                <td class="num">{f.usdPerMillion(line.nanoUsdPerToken)}</td>
                <td class="num">{f.usd(Number(line.nanoUsd))}</td>
              </tr>
            )),
          )}
        </tbody>
      </Sheet>
      {others.length > 0 && <Elsewhere c={c} workload={workload} total={total} others={others} />}
    </>
  );
}

/** The same tokens at other providers' list prices, and the difference, whichever way it falls. */
function Elsewhere(props: {
  c: PortalContext;
  workload: Workload;
  /** nano-USD here */
  total: number;
  others: readonly ReferencePrice[];
}) {
  const { c, workload, total, others } = props;
  const { t, f } = words(c);
  const names = t.pricing;
  const difference = (elsewhere: number) => {
    if (elsewhere === total) return names.equal;
    const amount = f.usd(Math.abs(elsewhere - total));
    const share = elsewhere === 0 ? '–' : f.percent(Math.abs(elsewhere - total) / elsewhere);
    return (total < elsewhere ? names.less : names.more)(amount, share);
  };
  return (
    <>
      <h3 class="mt-8 font-semibold">{names.elsewhere}</h3>
      <p class="muted mb-3 text-sm">{names.elsewhereNote}</p>
      <Sheet label={names.elsewhere}>
        <Heads names={[names.provider, `#${names.total}`, `#${names.difference}`]} />
        <tbody>
          {others.map((other) => {
            const elsewhere = Number(estimateAtListPrice(workload, other));
            return (
              <tr>
                <th scope="row" class="wraps font-normal">
                  {other.name}
                  {other.toMs !== null && (
                    <span class="muted block">{t.landing.retired(f.date(other.toMs))}</span>
                  )}
                </th>
                <td class="num">{f.usd(elsewhere)}</td>
                <td class="num">{difference(elsewhere)}</td>
              </tr>
            );
          })}
        </tbody>
      </Sheet>
    </>
  );
}
