/** Prices of every model beside those of others, and the claim that follows: on the first page and on the page of prices. */
import type { Model } from '../../db/catalogue.ts';
import type { ReferencePrice } from '../../db/reference-prices.ts';
import { dayOfPrices, PRICE_KINDS, type PriceKind } from '../../domain/price-change.ts';
import type { DatedPrice, Tariff } from '../../domain/pricing.ts';
import { Sheet } from '../components/sheet.tsx';
import { type PortalContext, words } from '../frame/context.ts';

/** The model whose prices stand against another maker's. */
const FLAGSHIP = 'deepseek-r1-0528';

interface Props {
  readonly c: PortalContext;
  readonly catalogue: readonly Model[];
  /** of others, to compare with */
  readonly others: readonly ReferencePrice[];
  readonly nowMs: number;
}

export function Prices({ c, catalogue, others, nowMs }: Props) {
  const { t, f } = words(c);
  const rival = others[0];
  const flagship = catalogue.find((each) => each.id === FLAGSHIP);
  const standard =
    flagship && pricesOf(flagship, nowMs).find(({ dailyFromMinute }) => dailyFromMinute === null);
  const least = standard && rival && Math.min(...PRICE_KINDS.map((kind) => saving(standard, rival, kind)));
  return (
    <section aria-labelledby="prices">
      <h2 id="prices" class="mb-1">
        {t.landing.priceTitle}
      </h2>
      <p class="muted mb-4 max-w-2xl text-sm">{t.landing.priceNote}</p>
      <Sheet label={t.landing.priceTitle}>
        <thead>
          <tr>
            <th scope="col">{t.landing.model}</th>
            <th scope="col" class="num max-sm:whitespace-normal">
              {t.landing.cacheHit}
            </th>
            <th scope="col" class="num">
              {t.landing.cacheMiss}
            </th>
            <th scope="col" class="num">
              {t.landing.output}
            </th>
            <th scope="col">{t.landing.license}</th>
          </tr>
        </thead>
        <tbody>
          {catalogue.flatMap((model) => {
            const prices = pricesOf(model, nowMs);
            return prices.map((price) => (
              <tr>
                <th scope="row">
                  {model.name} <span class="muted block font-mono font-normal sm:inline">{model.id}</span>
                  {prices.length > 1 && <span class="block font-normal">{windowText(c, price)}</span>}
                </th>
                {PRICE_KINDS.map((kind) => (
                  <td class="num">{f.usdPerMillion(price[kind])}</td>
                ))}
                <td>{model.license}</td>
              </tr>
            ));
          })}
          {others.map((other) => (
            <tr class="muted">
              <th scope="row" class="wraps">
                {t.landing.comparison(other.name)}
                {other.toMs !== null && (
                  <span class="block font-normal">{t.landing.retired(f.date(other.toMs))}</span>
                )}
              </th>
              {PRICE_KINDS.map((kind) => (
                <td class="num">{f.usdPerMillion(other[kind])}</td>
              ))}
              <td />
            </tr>
          ))}
        </tbody>
        {standard && flagship && rival && (
          <tfoot>
            <tr>
              <th scope="row" class="max-sm:whitespace-normal">
                {t.landing.saving(flagship.name)}
              </th>
              {PRICE_KINDS.map((kind) => (
                <td class="num text-success">{f.percent(saving(standard, rival, kind))}</td>
              ))}
              <td />
            </tr>
          </tfoot>
        )}
      </Sheet>
      {least !== undefined && (
        <div class="panel mt-6 max-w-2xl px-5 py-4">
          <h3 class="font-semibold">{t.landing.claimTitle}</h3>
          <p>{t.landing.claim(f.percent(Math.floor(least * 1000) / 1000))}</p>
          <p class="muted mt-1 text-sm">
            {rival && t.pricing.claimNote(rival.name, f.date(rival.fromMs), f.date(rival.toMs ?? nowMs))}
          </p>
        </div>
      )}
    </section>
  );
}

/** What a model costs in the hours of this day, by that tariff: windows before the price of the rest of it. */
export function pricesOf(model: Model, nowMs: number, tariff: Tariff = 'standard'): DatedPrice[] {
  const held = dayOfPrices(model.prices, tariff, nowMs).flatMap(({ price }) => price ?? []);
  return [...new Set(held)].sort(
    (a, b) => Number(a.dailyFromMinute === null) - Number(b.dailyFromMinute === null),
  );
}

function windowText(c: PortalContext, price: DatedPrice): string {
  const { t, f } = words(c);
  if (price.dailyFromMinute === null || price.dailyToMinute === null) return t.landing.allDayElse;
  return t.landing.windowUtc(f.time(price.dailyFromMinute * 60_000), f.time(price.dailyToMinute * 60_000));
}

/** Share saved on a kind of token, 0 to 1. */
function saving(ours: Record<PriceKind, number>, theirs: Record<PriceKind, number>, kind: PriceKind): number {
  return 1 - ours[kind] / theirs[kind];
}
