/** The form for a promo code on the billing page. The page that it posts to shows the outcome. */

import { TextField } from '../components/field.tsx';
import { type PortalContext, words } from '../frame/context.ts';
import type { Faults, Typed } from '../frame/form.ts';

export function PromoForm({ c, typed, faults }: { c: PortalContext; typed?: Typed; faults?: Faults }) {
  const { t } = words(c);
  return (
    <section aria-labelledby="promo" class="mb-12 max-w-xl">
      <h2 id="promo" class="mb-1">
        {t.promo.title}
      </h2>
      <p class="muted mb-4 text-sm">{t.promo.note}</p>
      <form method="post" action="/billing/promo" class="flex flex-wrap items-end gap-3" novalidate>
        <div class="grow">
          <TextField c={c} typed={typed} faults={faults} name="code" label={t.promo.code} required />
        </div>
        <button class="btn" type="submit">
          {t.promo.submit}
        </button>
      </form>
    </section>
  );
}
