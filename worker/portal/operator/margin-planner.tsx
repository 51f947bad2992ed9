/** Planner for an hour of a node: its revenue, its cost, and the throughput at which it breaks even. */
import * as z from 'zod';
import type { Model } from '../../db/catalogue.ts';
import type { NumberMarks } from '../../domain/decimal-text.ts';
import { evaluatePlan, type Plan } from '../../domain/margin.ts';
import { nanoUsd } from '../../domain/money.ts';
import { dailySchedule } from '../../domain/price-change.ts';
import { NUMBER_MARKS } from '../../i18n/formats.ts';
import { SelectField, TextField } from '../components/field.tsx';
import { Money } from '../components/money.tsx';
import { TILES, Tile } from '../components/tile.tsx';
import { type PortalContext, words } from '../frame/context.ts';
import { type Faults, readFields, type Typed, Usd, Whole } from '../frame/form.ts';
import { Percent, Ratio } from './form.ts';

const PlanForm = (marks: NumberMarks) =>
  z.object({
    price: Usd(marks),
    gpus: Whole(marks, { min: 1, max: 4_096 }),
    speed: Whole(marks, { min: 1, max: 1_000_000 }),
    cached: Percent(marks),
    ratio: Ratio(marks),
    offPeak: Percent(marks),
    model: z.string(),
  });

/** Initial values of the form, with a decimal point; each field's hint names the source of its value. */
const DEFAULTS = { price: '2', gpus: '16', speed: '622', cached: '56.3', ratio: '3.62', offPeak: '33.3' };

/** @param props.period the page's period, which the form passes on unchanged */
export function MarginPlanner(props: {
  c: PortalContext;
  catalogue: readonly Model[];
  period: string;
  nowMs: number;
}) {
  const { c, catalogue, period, nowMs } = props;
  const { t } = words(c);
  const names = t.margin;
  const typed: Typed = { ...defaultsIn(c), model: catalogue[0]?.id ?? '', ...c.req.query() };
  const read = readFields(c, typed, PlanForm);
  const model = catalogue.find(({ id }) => id === typed.model) ?? catalogue[0];
  const prices = model && pricesOf(model, nowMs);
  return (
    <section aria-labelledby="planner">
      <h2 id="planner" class="mb-1">
        {names.planTitle}
      </h2>
      <p class="muted mb-4 max-w-3xl text-sm">{names.planNote}</p>
      <form
        method="get"
        action="/operator/margin#planner"
        class="mb-6 grid items-start gap-5 sm:grid-cols-2 lg:grid-cols-4"
        novalidate
      >
        <input type="hidden" name="period" value={period} />
        <PlanFields c={c} catalogue={catalogue} typed={typed} faults={read.ok ? undefined : read.faults} />
        <div>
          <button class="btn btn-primary" type="submit">
            {names.planSubmit}
          </button>
        </div>
      </form>
      {!prices && <p>{names.planNoPrice}</p>}
      {read.ok && prices && <PlannedHour c={c} plan={planOf(read.values, prices)} />}
    </section>
  );
}

function defaultsIn(c: PortalContext): Typed {
  const { decimal } = NUMBER_MARKS[words(c).locale];
  return Object.fromEntries(
    Object.entries(DEFAULTS).map(([name, text]) => [name, text.replace('.', decimal)]),
  );
}

function PlanFields(props: { c: PortalContext; catalogue: readonly Model[]; typed: Typed; faults?: Faults }) {
  const { catalogue, ...fields } = props;
  const names = words(fields.c).t.margin;
  return (
    <>
      <SelectField
        {...fields}
        name="model"
        label={names.planModel}
        options={catalogue.map(({ id }) => [id, id])}
      />
      <TextField
        {...fields}
        name="price"
        label={names.planPrice}
        hint={names.planPriceHint}
        inputmode="decimal"
      />
      <TextField
        {...fields}
        name="gpus"
        label={names.planGpus}
        hint={names.planGpusHint}
        inputmode="numeric"
      />
      <TextField
        {...fields}
        name="offPeak"
        label={names.planOffPeak}
        hint={names.planOffPeakHint}
        inputmode="decimal"
      />
      <div class="sm:col-span-2">
        <TextField
          {...fields}
          name="speed"
          label={names.planSpeed}
          hint={names.planSpeedHint}
          inputmode="numeric"
        />
      </div>
      <TextField
        {...fields}
        name="cached"
        label={names.planCached}
        hint={names.planCachedHint}
        inputmode="decimal"
      />
      <TextField
        {...fields}
        name="ratio"
        label={names.planRatio}
        hint={names.planRatioHint}
        inputmode="decimal"
      />
    </>
  );
}

function PlannedHour({ c, plan }: { c: PortalContext; plan: Plan }) {
  const { t, f } = words(c);
  const names = t.margin;
  const hour = evaluatePlan(plan);
  const { marginShare, breakEven, utilisation } = hour;
  return (
    <dl class={TILES}>
      <Tile label={names.planRevenue} value={<Money c={c} amount={hour.revenueNanoUsd} />} />
      <Tile label={names.planCost} value={<Money c={c} amount={hour.costNanoUsd} />} />
      <Tile
        label={names.planMargin}
        value={<Money c={c} amount={hour.marginNanoUsd} />}
        note={marginShare === null ? names.planNone : names.planMarginShare(f.percent(marginShare))}
      />
      <Tile
        label={names.planBreakEven}
        value={breakEven === null ? '–' : f.count(breakEven)}
        note={
          utilisation === null
            ? names.planNone
            : `${names.planUtilisation(f.percent(utilisation))}${utilisation > 1 ? ` · ${names.planNever}` : ''}`
        }
      />
    </dl>
  );
}

function planOf(form: z.output<ReturnType<typeof PlanForm>>, prices: Plan['prices']): Plan {
  return {
    gpuHourNanoUsd: nanoUsd(form.price),
    gpus: form.gpus,
    tokensPerSecond: form.speed,
    cachedPermille: form.cached,
    inputPerHundredOutput: form.ratio,
    offPeakPermille: form.offPeak,
    prices,
  };
}

/** The model's peak and off-peak prices. Without an off-peak price, the all-day price counts for both. */
function pricesOf(model: Model, nowMs: number): Plan['prices'] | null {
  const inForce = dailySchedule(model.prices, 'standard', nowMs).flatMap(({ price }) => price ?? []);
  const allDay = inForce.find(({ dailyFromMinute }) => dailyFromMinute === null);
  const window = inForce.find(({ dailyFromMinute }) => dailyFromMinute !== null);
  const peak = allDay ?? window;
  return peak ? { peak, offPeak: window ?? peak } : null;
}
