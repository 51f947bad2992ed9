/** The question before prices change: what it does to a day, and the model's id to be typed where that surprises. */
import { type Effect, isSurprising } from '../../domain/price-change.ts';
import { TextField } from '../components/field.tsx';
import { type PortalContext, words } from '../frame/context.ts';
import type { Faults, Typed } from '../frame/form.ts';
import { page } from '../frame/layout.tsx';
import { operatorNav } from './operator-nav.tsx';
import { PriceEffect } from './price-effect.tsx';

/** Says that the form was seen with what it does. */
export const SEEN = 'seen';

export async function priceConfirmPage(props: {
  c: PortalContext;
  title: string;
  submit: string;
  action: string;
  modelId: string;
  atMs: number;
  effects: readonly Effect[];
  /** what was typed, sent again as it is */
  typed: Typed;
  faults?: Faults;
}) {
  const { c, title, submit, action, modelId, atMs, effects, typed, faults } = props;
  const { t, f } = words(c);
  const names = t.operator.prices;
  const surprising = isSurprising(effects);
  const kept = Object.entries(typed).filter(([name]) => name !== 'confirm' && name !== 'step');
  return page(
    c,
    { title, status: faults ? 422 : 200, back: '/operator/prices' },
    <>
      {await operatorNav(c, '/operator/prices')}
      <h1 class="mb-3">{title}</h1>
      <p class="mb-3">{names.effectFrom(f.dateTime(atMs))}</p>
      <PriceEffect c={c} effects={effects} />
      <p class="muted mt-2 mb-6 text-sm">{names.unit}</p>
      <form method="post" action={action} class="grid max-w-xl gap-5" novalidate>
        {kept.map(([name, value]) => (
          <input type="hidden" name={name} value={value} />
        ))}
        <input type="hidden" name="step" value={SEEN} />
        {surprising && (
          <TextField
            c={c}
            faults={faults}
            name="confirm"
            label={names.confirm(modelId)}
            hint={names.surprise}
            required
          />
        )}
        <div class="flex flex-wrap gap-3">
          <button class={`btn ${surprising ? 'btn-error' : 'btn-primary'}`} type="submit">
            {submit}
          </button>
          <a class="btn" href="/operator/prices">
            {names.cancel}
          </a>
        </div>
      </form>
    </>,
  );
}
