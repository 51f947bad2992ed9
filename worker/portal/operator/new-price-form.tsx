/** The form for a new version of a model's prices. */
import { TARIFFS } from '../../domain/pricing.ts';
import { Callout } from '../components/callout.tsx';
import { SelectField, TextField } from '../components/field.tsx';
import { type PortalContext, words } from '../frame/context.ts';
import type { Faults, Typed } from '../frame/form.ts';

export function NewPriceForm(props: {
  c: PortalContext;
  modelIds: readonly string[];
  typed: Typed;
  faults?: Faults;
}) {
  const { c, modelIds, typed, faults } = props;
  const { t } = words(c);
  const names = t.operator.prices;
  const fields = { c, typed, faults };
  return (
    <section aria-labelledby="add" class="mt-12 max-w-3xl">
      <h2 id="add" class="mb-1">
        {names.addTitle}
      </h2>
      <p class="muted mb-4 text-sm">{names.addNote}</p>
      {faults && <Callout tone="error">{t.faults.summary}</Callout>}
      <form method="post" action="/operator/prices" class="grid items-start gap-5 sm:grid-cols-6" novalidate>
        <div class="sm:col-span-3">
          <SelectField
            {...fields}
            name="modelId"
            label={names.model}
            options={modelIds.map((id) => [id, id])}
          />
        </div>
        <div class="sm:col-span-3">
          <SelectField
            {...fields}
            name="tariff"
            label={names.tariff}
            options={TARIFFS.map((tariff) => [tariff, names.tariffs[tariff]])}
          />
        </div>
        <ValidityFields {...fields} />
        {(
          [
            ['cacheHitNanoUsd', names.cacheHit],
            ['cacheMissNanoUsd', names.cacheMiss],
            ['outputNanoUsd', names.output],
          ] as const
        ).map(([name, label]) => (
          <div class="sm:col-span-2">
            <TextField {...fields} name={name} label={label} inputmode="decimal" required />
          </div>
        ))}
        <div class="sm:col-span-6">
          <TextField {...fields} name="source" label={names.source} hint={names.sourceHint} required />
        </div>
        <div class="sm:col-span-6">
          <button class="btn btn-primary" type="submit">
            {names.preview}
          </button>
        </div>
      </form>
    </section>
  );
}

/** From when on the version is in force, and the part of the day for which it counts. */
function ValidityFields(fields: { c: PortalContext; typed: Typed; faults?: Faults }) {
  const names = words(fields.c).t.operator.prices;
  return (
    <>
      <div class="sm:col-span-2">
        <TextField {...fields} name="fromMs" type="datetime-local" label={names.fromField} required />
      </div>
      <div class="sm:col-span-2">
        <TextField
          {...fields}
          name="dailyFromMinute"
          type="time"
          label={names.dailyFrom}
          hint={names.windowHint}
        />
      </div>
      <div class="sm:col-span-2">
        <TextField
          {...fields}
          name="dailyToMinute"
          type="time"
          label={names.dailyTo}
          hint={names.windowHint}
        />
      </div>
    </>
  );
}
