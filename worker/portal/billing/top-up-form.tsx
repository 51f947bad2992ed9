/** The form that starts a top-up: a fixed or a typed amount, and a purchase order number for the invoice. */
import { TOP_UP_MAX, TOP_UP_MIN } from '../../billing/payable.ts';
import { usd } from '../../domain/money.ts';
import { TextField } from '../components/field.tsx';
import { type PortalContext, words } from '../frame/context.ts';
import type { Faults, Typed } from '../frame/form.ts';

const AMOUNTS_USD = [10, 20, 50] as const;
export const AMOUNT_CHOICES = ['10', '20', '50', 'other'] as const;

export function TopUpForm({ c, typed, faults }: { c: PortalContext; typed?: Typed; faults?: Faults }) {
  const { t, f } = words(c);
  const chosen = typed?.amount ?? '20';
  const amounts = [
    ...AMOUNTS_USD.map((each) => [String(each), f.usd(usd(each))]),
    ['other', t.billing.other],
  ];
  const fields = { c, typed, faults };
  return (
    <section aria-labelledby="top-up" class="mb-12 max-w-xl">
      <h2 id="top-up" class="mb-1">
        {t.billing.topUpTitle}
      </h2>
      <p class="muted mb-4 text-sm">{t.billing.topUpNote}</p>
      <form method="post" action="/billing" class="grid gap-5" novalidate>
        <fieldset>
          <legend class="mb-2 text-sm font-medium">{t.billing.amount}</legend>
          <div class="flex flex-wrap gap-x-6 gap-y-3">
            {amounts.map(([value, text]) => (
              <label class="flex items-center gap-2">
                <input
                  type="radio"
                  name="amount"
                  value={value}
                  checked={value === chosen}
                  class="radio radio-sm"
                />
                {text}
              </label>
            ))}
          </div>
        </fieldset>
        <TextField
          {...fields}
          name="otherUsd"
          label={`${t.billing.other} (USD)`}
          hint={t.billing.otherHint(f.usd(TOP_UP_MIN), f.usd(TOP_UP_MAX))}
          inputmode="decimal"
        />
        <TextField
          {...fields}
          name="purchaseOrder"
          label={t.billing.purchaseOrder}
          hint={t.billing.purchaseOrderHint}
        />
        <p class="muted text-sm">{t.billing.taxNote}</p>
        <button class="btn btn-primary justify-self-start" type="submit">
          {t.billing.submit}
        </button>
      </form>
    </section>
  );
}
