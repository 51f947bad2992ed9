/** Every version of a model's prices with its state, its times, and who added and ended it. */
import type { AuditRow } from '../../db/audit.ts';
import type { PriceRow } from '../../db/prices.ts';
import { dailySchedule, PRICE_KINDS, PRICE_NOTICE_MS } from '../../domain/price-change.ts';
import { Heads, Sheet } from '../components/sheet.tsx';
import { type PortalContext, words } from '../frame/context.ts';
import { hours, kindNames } from './price-effect.tsx';

type State = 'in_force' | 'next' | 'replaced' | 'over';

const BADGES: Record<State, string> = {
  in_force: 'badge-success',
  next: 'badge-info',
  replaced: '',
  over: '',
};

/** Order of the rows by state; within a state the newest version comes first. */
const ORDER: readonly State[] = ['in_force', 'next', 'replaced', 'over'];

export function PriceTable(props: {
  c: PortalContext;
  title: string;
  /** all versions of one model */
  prices: readonly PriceRow[];
  changes: readonly AuditRow[];
  /** e-mails, by person id */
  people: ReadonlyMap<string, string>;
  nowMs: number;
}) {
  const { c, title, prices, changes, people, nowMs } = props;
  const { t, f } = words(c);
  const names = t.operator.prices;
  const rows = prices
    .map((price) => ({ price, state: stateOf(price, prices, nowMs) }))
    .sort((a, b) => ORDER.indexOf(a.state) - ORDER.indexOf(b.state) || b.price.fromMs - a.price.fromMs);
  return (
    <Sheet label={title}>
      <Heads
        names={[
          names.version,
          names.state,
          names.hours,
          ...kindNames(c).map((name) => `#${name}`),
          names.from,
          names.to,
          names.source,
        ]}
      />
      <tbody>
        {rows.map(({ price, state }) => (
          <tr class={state === 'replaced' || state === 'over' ? 'muted' : undefined}>
            <th scope="row" class="font-mono" title={price.id}>
              {price.id.replace(`${price.modelId}/`, '')}
            </th>
            <td>
              <span class={`badge badge-sm badge-soft ${BADGES[state]}`}>{names.states[state]}</span>
            </td>
            <td>{hours(c, price.dailyFromMinute, price.dailyToMinute)}</td>
            {PRICE_KINDS.map((kind) => (
              <td class="num">{f.usdPerMillion(price[kind])}</td>
            ))}
            <td>{f.dateTime(price.fromMs)}</td>
            <td>
              {price.toMs === null ? names.open : f.dateTime(price.toMs)}
              {(price.toMs === null || price.toMs >= nowMs + PRICE_NOTICE_MS) && (
                <a
                  class="link block"
                  href={`/operator/prices/end?version=${encodeURIComponent(price.id)}`}
                  aria-label={`${names.end}: ${price.id}`}
                >
                  {names.end}
                </a>
              )}
            </td>
            <td class="wraps">
              {price.source}
              <span class="muted block">{historyOf(c, price, changes, people)}</span>
            </td>
          </tr>
        ))}
      </tbody>
    </Sheet>
  );
}

function stateOf(price: PriceRow, all: readonly PriceRow[], nowMs: number): State {
  if (price.toMs !== null && price.toMs <= nowMs) return 'over';
  if (price.fromMs > nowMs) return 'next';
  const day = dailySchedule(all, price.tariff, nowMs);
  return day.some((slot) => slot.price?.id === price.id) ? 'in_force' : 'replaced';
}

function historyOf(
  c: PortalContext,
  price: PriceRow,
  changes: readonly AuditRow[],
  people: ReadonlyMap<string, string>,
): string {
  const { t, f } = words(c);
  const names = t.operator.prices;
  const ownChanges = changes.filter(({ subject }) => subject === price.id);
  if (ownChanges.length === 0) return names.migrated;
  return ownChanges
    .map(({ action, actor, atMs }) => {
      const who = people.get(actor) ?? t.pool.auditActors[actor] ?? actor;
      return (action === 'price.added' ? names.added : names.ended)(who, f.dateTime(atMs));
    })
    .join('; ');
}
