/** Navigation between the operator's pages, with the number of open findings. */
import { database } from '../../db/client.ts';
import { countOpenDrift, OPEN_COUNTED_MAX } from '../../db/drift.ts';
import { type PortalContext, words } from '../frame/context.ts';

export async function operatorNav(c: PortalContext, here: string) {
  const { t, f } = words(c);
  const names = t.operator.nav;
  const open = await countOpenDrift(database(c.env));
  const links = [
    ['/operator/pool', names.pool],
    ['/operator/prices', names.prices],
    ['/operator/promo-codes', names.promoCodes],
    ['/operator/reconciliation', names.reconciliation],
    ['/operator/margin', names.margin],
    ['/operator/accounts', names.accounts],
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
            {href === '/operator/reconciliation' && open > 0 && (
              <span class="badge badge-sm badge-soft badge-error ms-1">
                {names.open(open === OPEN_COUNTED_MAX ? `${f.count(open)}+` : f.count(open))}
              </span>
            )}
          </li>
        ))}
      </ul>
    </nav>
  );
}
