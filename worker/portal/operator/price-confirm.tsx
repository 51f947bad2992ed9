/** The confirmation before prices change: the effect on a day, and for a large change the model's id to be typed. */
import { needsConfirmation, type SlotPriceChange } from '../../domain/price-change.ts';
import { TextField } from '../components/field.tsx';
import { type PortalContext, words } from '../frame/context.ts';
import type { Faults, Typed } from '../frame/form.ts';
import { page } from '../frame/layout.tsx';
import { operatorNav } from './operator-nav.tsx';
import { PriceEffectTable } from './price-effect.tsx';

/** Value of the field `step` once the operator has seen the effect of the change. */
export const SEEN = 'seen';

export async function priceConfirmPage(props: {
  c: PortalContext;
  title: string;
  submit: string;
  action: string;
  modelId: string;
  atMs: number;
  effects: readonly SlotPriceChange[];
  /** the form as it was typed; hidden fields send it again unchanged */
  typed: Typed;
  faults?: Faults;
}) {
  const { c, title, submit, action, modelId, atMs, effects, typed, faults } = props;
  const { t, f } = words(c);
  const names = t.operator.prices;
  const isLarge = needsConfirmation(effects);
  const hidden = Object.entries(typed).filter(([name]) => name !== 'confirm' && name !== 'step');
  return page(
    c,
    { title, status: faults ? 422 : 200, back: '/operator/prices' },
    <>
      {await operatorNav(c, '/operator/prices')}
      <h1 class="mb-3">{title}</h1>
      <p class="mb-3">{names.effectFrom(f.dateTime(atMs))}</p>
      <PriceEffectTable c={c} effects={effects} />
      <p class="muted mt-2 mb-6 text-sm">{names.unit}</p>
      <form method="post" action={action} class="grid max-w-xl gap-5" novalidate>
        {hidden.map(([name, value]) => (
          <input type="hidden" name={name} value={value} />
        ))}
        <input type="hidden" name="step" value={SEEN} />
        {isLarge && (
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
          <button class={`btn ${isLarge ? 'btn-error' : 'btn-primary'}`} type="submit">
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
