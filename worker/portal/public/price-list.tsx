/** Prices of every model beside those of other providers, and the saving that follows; on the landing and pricing pages. */
import type { Model } from '../../db/catalogue.ts';
import type { ReferencePrice } from '../../db/reference-prices.ts';
import { dailySchedule, PRICE_KINDS, type PriceKind } from '../../domain/price-change.ts';
import type { DatedPrice, Tariff } from '../../domain/pricing.ts';
import { Sheet } from '../components/sheet.tsx';
import { type PortalContext, words } from '../frame/context.ts';

/** The model whose prices are compared with another provider's. */
const FLAGSHIP = 'deepseek-r1-0528';

interface Props {
  readonly c: PortalContext;
  readonly catalogue: readonly Model[];
  /** prices of other providers, to compare with */
  readonly others: readonly ReferencePrice[];
  readonly nowMs: number;
}

export function Prices({ c, catalogue, others, nowMs }: Props) {
  const { t, f } = words(c);
  const rival = others[0];
  const flagship = catalogue.find((each) => each.id === FLAGSHIP);
  const standard =
    flagship && pricesOf(flagship, nowMs).find(({ dailyFromMinute }) => dailyFromMinute === null);
  const smallestSaving =
    standard && rival && Math.min(...PRICE_KINDS.map((kind) => saving(standard, rival, kind)));
  return (
    <section aria-labelledby="prices">
      <h2 id="prices" class="mb-1">
        {t.landing.priceTitle}
      </h2>
      <p class="muted mb-4 max-w-2xl text-sm">{t.landing.priceNote}</p>
      <Sheet label={t.landing.priceTitle}>
        <PriceHead c={c} />
        <tbody>
          {catalogue.map((model) => (
            <ModelRows c={c} model={model} nowMs={nowMs} />
          ))}
          {others.map((other) => (
            <ReferenceRow c={c} other={other} />
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
      {smallestSaving !== undefined && (
        <div class="panel mt-6 max-w-2xl px-5 py-4">
          <h3 class="font-semibold">{t.landing.claimTitle}</h3>
          <p>{t.landing.claim(f.percent(Math.floor(smallestSaving * 1000) / 1000))}</p>
          <p class="muted mt-1 text-sm">
            {rival && t.pricing.claimNote(rival.name, f.date(rival.fromMs), f.date(rival.toMs ?? nowMs))}
          </p>
        </div>
      )}
    </section>
  );
}

function PriceHead({ c }: { c: PortalContext }) {
  const { t } = words(c);
  return (
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
  );
}

/** One row per price that the model has in the course of the day. */
function ModelRows({ c, model, nowMs }: { c: PortalContext; model: Model; nowMs: number }) {
  const { f } = words(c);
  const prices = pricesOf(model, nowMs);
  return (
    <>
      {prices.map((price) => (
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
      ))}
    </>
  );
}

function ReferenceRow({ c, other }: { c: PortalContext; other: ReferencePrice }) {
  const { t, f } = words(c);
  return (
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
  );
}

/** The prices of a model in the course of this day, by tariff: daily windows come before the price of the other hours. */
export function pricesOf(model: Model, nowMs: number, tariff: Tariff = 'standard'): DatedPrice[] {
  const inForce = dailySchedule(model.prices, tariff, nowMs).flatMap(({ price }) => price ?? []);
  return [...new Set(inForce)].sort(
    (a, b) => Number(a.dailyFromMinute === null) - Number(b.dailyFromMinute === null),
  );
}

function windowText(c: PortalContext, price: DatedPrice): string {
  const { t, f } = words(c);
  if (price.dailyFromMinute === null || price.dailyToMinute === null) return t.landing.allDayElse;
  return t.landing.windowUtc(f.time(price.dailyFromMinute * 60_000), f.time(price.dailyToMinute * 60_000));
}

/** The saving on a kind of token as a fraction of the other price, 0 to 1. */
function saving(ours: Record<PriceKind, number>, theirs: Record<PriceKind, number>, kind: PriceKind): number {
  return 1 - ours[kind] / theirs[kind];
}
