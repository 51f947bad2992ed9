/** Navigation between the operator's pages, with the number of findings and payments that wait for a decision. */
import { database } from '../../db/client.ts';
import { countOpenDrift, OPEN_COUNTED_MAX } from '../../db/drift.ts';
import { countHeld } from '../../db/held-payments.ts';
import { type PortalContext, words } from '../frame/context.ts';

export async function operatorNav(c: PortalContext, here: string) {
  const { t } = words(c);
  const names = t.operator.nav;
  const db = database(c.env);
  const [findings, held] = await Promise.all([countOpenDrift(db), countHeld(db)]);
  const waiting: Record<string, number> = {
    '/operator/reconciliation': findings,
    '/operator/payments': held,
  };
  const links = [
    ['/operator/pool', names.pool],
    ['/operator/models', names.models],
    ['/operator/prices', names.prices],
    ['/operator/comparison', names.comparison],
    ['/operator/promo-codes', names.promoCodes],
    ['/operator/reconciliation', names.reconciliation],
    ['/operator/payments', names.payments],
    ['/operator/margin', names.margin],
    ['/operator/accounts', names.accounts],
    ['/operator/tokens', names.tokens],
  ] as const;
  return (
    <nav aria-label={names.label} class="mb-6">
      <ul class="flex flex-wrap gap-x-5 gap-y-1 text-sm">
        {links.map(([href, text]) => (
          <li>
            <a
              class="link aria-[current=page]:font-semibold aria-[current=page]:no-underline"
              href={href}
              aria-current={href === here ? 'page' : undefined}
            >
              {text}
            </a>
            <Waiting c={c} count={waiting[href] ?? 0} />
          </li>
        ))}
      </ul>
    </nav>
  );
}

function Waiting({ c, count }: { c: PortalContext; count: number }) {
  const { t, f } = words(c);
  if (count === 0) return null;
  return (
    <span class="badge badge-sm badge-soft badge-error ms-1">
      {t.operator.nav.open(count === OPEN_COUNTED_MAX ? `${f.count(count)}+` : f.count(count))}
    </span>
  );
}
