/** Prices of every model beside those of other providers, whichever are lower; on the landing and pricing pages. */
import type { Model } from '../../db/catalogue.ts';
import type { ReferencePrice } from '../../db/reference-prices.ts';
import { onSale, withStandingSuccessor } from '../../domain/model-end.ts';
import { dailySchedule, PRICE_KINDS } from '../../domain/price-change.ts';
import { compareKind, comparePrices, type KindComparison } from '../../domain/price-comparison.ts';
import type { DatedPrice, Tariff } from '../../domain/pricing.ts';
import { Sheet } from '../components/sheet.tsx';
import { type PortalContext, words } from '../frame/context.ts';

interface Props {
  readonly c: PortalContext;
  readonly catalogue: readonly Model[];
  /** prices of other providers, to compare with */
  readonly others: readonly ReferencePrice[];
  /** Ids of the models that no node serves at the moment. */
  readonly unserved: ReadonlySet<string>;
  readonly nowMs: number;
}

export function Prices({ c, catalogue, others, unserved, nowMs }: Props) {
  const { t } = words(c);
  const ours = comparedModel(catalogue, nowMs);
  return (
    <section aria-labelledby="prices">
      <h2 id="prices" class="mb-1">
        {t.landing.priceTitle}
      </h2>
      <p class="muted mb-4 max-w-2xl text-sm">{t.landing.priceNote}</p>
      <Sheet label={t.landing.priceTitle}>
        <PriceHead c={c} />
        <tbody>
          {onSale(catalogue, nowMs).map((model) => (
            <ModelRows
              c={c}
              model={withStandingSuccessor(model, catalogue, nowMs)}
              isServed={!unserved.has(model.id)}
              nowMs={nowMs}
            />
          ))}
          {others.map((other) => (
            <ReferenceRow c={c} other={other} ours={ours} />
          ))}
        </tbody>
      </Sheet>
      {ours && others.length > 0 && <Claims c={c} others={others} ours={ours} />}
    </section>
  );
}

interface Compared {
  readonly name: string;
  readonly price: DatedPrice;
}

/** The model that is compared with other providers' models, most of which reason: the first on sale that does. */
function comparedModel(catalogue: readonly Model[], nowMs: number): Compared | null {
  for (const model of onSale(catalogue, nowMs).filter(({ reasoning }) => reasoning)) {
    const price = pricesOf(model, nowMs).find(({ dailyFromMinute }) => dailyFromMinute === null);
    if (price) return { name: model.name, price };
  }
  return null;
}

/** A sentence for each comparison, with its dates and its source. */
function Claims({
  c,
  others,
  ours,
}: {
  c: PortalContext;
  others: readonly ReferencePrice[];
  ours: Compared;
}) {
  const { t, f } = words(c);
  const claim = (other: ReferencePrice) => {
    const result = comparePrices(ours.price, other);
    if (result.verdict === 'lower')
      // Rounded down, so that the claim holds to the last digit.
      return t.landing.claims.lower(ours.name, other.name, f.percent(Math.floor(result.share * 1000) / 1000));
    if (result.verdict === 'mixed') return t.landing.claims.mixed(ours.name, other.name);
    return result.times === 1
      ? t.landing.claims.same(ours.name, other.name)
      : t.landing.claims.higher(ours.name, other.name);
  };
  const dates = ({ fromMs, toMs }: ReferencePrice) =>
    toMs === null
      ? t.landing.claims.since(f.date(fromMs))
      : t.landing.claims.until(f.date(fromMs), f.date(toMs));
  return (
    <div class="panel mt-6 max-w-3xl px-5 py-4">
      <h3 class="mb-2 font-semibold">{t.landing.claims.title}</h3>
      <ul class="space-y-2">
        {others.map((other) => (
          <li>
            {claim(other)}
            <span class="muted block break-words text-sm">
              {dates(other)} {t.landing.claims.source} {other.source}
            </span>
          </li>
        ))}
      </ul>
    </div>
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

/** One row per price that the model has in the course of the day, the batch price last. */
function ModelRows(props: { c: PortalContext; model: Model; isServed: boolean; nowMs: number }) {
  const { c, model, isServed, nowMs } = props;
  const { t, f } = words(c);
  const standard = pricesOf(model, nowMs);
  const prices = [...standard, ...pricesOf(model, nowMs, 'batch')];
  return (
    <>
      {prices.map((price, index) => (
        <tr>
          <th scope="row">
            {model.name} <span class="muted block font-mono font-normal sm:inline">{model.id}</span>
            {(standard.length > 1 || price.tariff === 'batch') && (
              <span class="block font-normal">{windowText(c, price)}</span>
            )}
            {!isServed && index === 0 && (
              <span class="block whitespace-normal font-normal text-warning">{t.landing.notServed}</span>
            )}
            {model.endsAtMs !== null && (
              <span class="block whitespace-normal font-normal text-warning">
                {t.landing.endsOn(f.date(model.endsAtMs), model.successorId)}
              </span>
            )}
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

function ReferenceRow(props: { c: PortalContext; other: ReferencePrice; ours: Compared | null }) {
  const { c, other, ours } = props;
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
        <td class="num">
          {f.usdPerMillion(other[kind])}
          {ours && (
            <span class="block text-xs">{relation(c, ours, compareKind(ours.price, other, kind))}</span>
          )}
        </td>
      ))}
      <td />
    </tr>
  );
}

/** How our price of a kind of token stands to the other one. */
function relation(c: PortalContext, { name }: Compared, result: KindComparison): string {
  const { t, f } = words(c);
  const names = t.landing.relations;
  if (result.ours === 'same') return names.same(name);
  if (result.ours === 'lower') return names.lower(name, f.percent(Math.floor(result.share * 1000) / 1000));
  return Number.isFinite(result.times)
    ? names.higher(name, f.ratio(Math.ceil(result.times * 10) / 10))
    : names.notFree(name);
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
  if (price.tariff === 'batch') return t.landing.batchTariff;
  if (price.dailyFromMinute === null || price.dailyToMinute === null) return t.landing.allDayElse;
  return t.landing.windowUtc(f.time(price.dailyFromMinute * 60_000), f.time(price.dailyToMinute * 60_000));
}
