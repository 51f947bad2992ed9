/** The effect of a change of prices: each part of the day with its prices before and after. */
import { CONFIRM_ABOVE, changeOf, PRICE_KINDS, type SlotPriceChange } from '../../domain/price-change.ts';
import { Heads, Sheet } from '../components/sheet.tsx';
import { type PortalContext, words } from '../frame/context.ts';

export function PriceEffectTable({ c, effects }: { c: PortalContext; effects: readonly SlotPriceChange[] }) {
  const { t } = words(c);
  const names = t.operator.prices;
  return (
    <Sheet label={names.previewTitle}>
      <Heads names={[names.hours, names.version, ...kindNames(c).map((name) => `#${name}`)]} />
      <tbody>
        {effects.map((effect) => (
          <tr>
            <th scope="row">{hours(c, effect.fromMinute, effect.toMinute)}</th>
            <td class="font-mono">{versions(c, effect)}</td>
            {PRICE_KINDS.map((kind) => (
              <td class={`num ${Math.abs(changeOf(effect, kind)) > CONFIRM_ABOVE ? 'text-error' : ''}`}>
                {amounts(c, effect, kind)}
              </td>
            ))}
          </tr>
        ))}
      </tbody>
    </Sheet>
  );
}

/** Names of the price columns, in the order of PRICE_KINDS. */
export function kindNames(c: PortalContext): string[] {
  const { cacheHit, cacheMiss, output } = words(c).t.operator.prices;
  return [cacheHit, cacheMiss, output];
}

/** A part of the day as `16:30–00:30`; the whole day has a name. */
export function hours(c: PortalContext, fromMinute: number | null, toMinute: number | null): string {
  const { t, f } = words(c);
  const allDay = fromMinute === null || toMinute === null || (fromMinute === 0 && toMinute === 1_440);
  if (allDay) return t.operator.prices.allDay;
  return `${f.time(fromMinute * 60_000)}–${f.time(toMinute * 60_000)}`;
}

function versions(c: PortalContext, { before, after }: SlotPriceChange): string {
  const names = words(c).t.operator.prices;
  if (before?.id === after?.id) return `${before?.id ?? '–'} (${names.unchanged})`;
  // a version that is only previewed has no id yet
  return `${before?.id ?? '–'} → ${after === null ? '–' : after.id || '…'}`;
}

function amounts(c: PortalContext, effect: SlotPriceChange, kind: (typeof PRICE_KINDS)[number]): string {
  const { t, f } = words(c);
  const { before, after } = effect;
  const amount = (price: SlotPriceChange['before']) =>
    price === null ? t.operator.prices.notSold : f.usdPerMillion(price[kind]);
  if (before?.[kind] === after?.[kind]) return amount(after);
  const change = changeOf(effect, kind);
  const percent =
    change === 0 || !Number.isFinite(change) ? '' : ` (${change > 0 ? '+' : ''}${f.percent(change)})`;
  return `${amount(before)} → ${amount(after)}${percent}`;
}
