/** The first page: what is sold, at what price, and what of it can be checked. */
import { Hono } from 'hono';
import { loadCatalogue, type Model } from '../../db/catalogue.ts';
import { database } from '../../db/client.ts';
import { dayOfPrices } from '../../domain/price-change.ts';
import type { DatedPrice } from '../../domain/pricing.ts';
import { config } from '../../env.ts';
import { type PortalContext, type PortalEnv, words } from '../context.ts';
import { page } from '../layout.tsx';
import { Sheet } from '../parts/sheet.tsx';
import { O1, saving, TOKEN_KINDS } from '../reference-prices.ts';

/** The model whose prices stand against o1's. */
const FLAGSHIP = 'deepseek-r1-0528';

export const landingPage = new Hono<PortalEnv>();

landingPage.get('/', async (c) => {
  const { t, f } = words(c);
  const catalogue = await loadCatalogue(database(c.env));
  const credit = config(c.env).trialGrantNanoUsd;
  return page(
    c,
    { title: t.landing.title },
    <>
      <section class="py-6 sm:py-12">
        <h1 class="mb-4 max-w-3xl text-4xl sm:text-5xl">
          {/* a model's name does not break at its hyphen */}
          {t.landing.title.replaceAll('-', '\u2011')}
        </h1>
        <p class="mb-7 max-w-xl text-lg">{t.landing.lead}</p>
        <div class="flex flex-wrap items-center gap-x-4 gap-y-2">
          <a href={c.get('person') ? '/start' : '/sign-up'} class="btn btn-primary">
            {c.get('person') ? t.start.title : t.landing.call}
          </a>
          <p class="muted text-sm">
            {credit > 0 ? t.landing.callNote(f.usd(credit)) : t.landing.callNoteNoCredit}
          </p>
        </div>
        <pre class="snippet mt-8 max-w-2xl" tabindex={0}>
          <code>{`client = OpenAI(base_url="${config(c.env).publicOrigin}/v1", api_key="sk-tg-…")`}</code>
        </pre>
      </section>
      <Prices c={c} catalogue={catalogue} />
      <section aria-labelledby="promises" class="mt-14">
        <h2 id="promises" class="mb-4">
          {t.landing.promisesTitle}
        </h2>
        <ul class="grid gap-x-10 gap-y-6 sm:grid-cols-2">
          {t.landing.promises.map(({ title, text }) => (
            <li class="border-t border-base-300 pt-3">
              <h3 class="font-semibold">{title}</h3>
              <p class="muted">{text}</p>
            </li>
          ))}
        </ul>
      </section>
    </>,
  );
});

function Prices({ c, catalogue }: { c: PortalContext; catalogue: readonly Model[] }) {
  const { t, f } = words(c);
  const nowMs = Date.now();
  const flagship = catalogue.find((each) => each.id === FLAGSHIP);
  const standard =
    flagship && pricesOf(flagship, nowMs).find(({ dailyFromMinute }) => dailyFromMinute === null);
  const least = standard && Math.min(...TOKEN_KINDS.map((kind) => saving(standard, kind)));
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
                {TOKEN_KINDS.map((kind) => (
                  <td class="num">{f.usdPerMillion(price[kind])}</td>
                ))}
                <td>{model.license}</td>
              </tr>
            ));
          })}
          <tr class="muted">
            <th scope="row" class="wraps">
              {t.landing.comparison}
              <span class="block font-normal">{t.landing.retired(f.date(O1.retiredAtMs))}</span>
            </th>
            {TOKEN_KINDS.map((kind) => (
              <td class="num">{f.usdPerMillion(O1[kind])}</td>
            ))}
            <td />
          </tr>
        </tbody>
        {standard && flagship && (
          <tfoot>
            <tr>
              <th scope="row" class="max-sm:whitespace-normal">
                {t.landing.saving(flagship.name)}
              </th>
              {TOKEN_KINDS.map((kind) => (
                <td class="num text-success">{f.percent(saving(standard, kind))}</td>
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
          <p class="muted mt-1 text-sm">{t.landing.claimNote(f.date(O1.retiredAtMs))}</p>
        </div>
      )}
    </section>
  );
}

/** What a model costs in the hours of this day, at standard tariff: windows before the price of the rest of it. */
function pricesOf(model: Model, nowMs: number): DatedPrice[] {
  const held = dayOfPrices(model.prices, 'standard', nowMs).flatMap(({ price }) => price ?? []);
  return [...new Set(held)].sort(
    (a, b) => Number(a.dailyFromMinute === null) - Number(b.dailyFromMinute === null),
  );
}

function windowText(c: PortalContext, price: DatedPrice): string {
  const { t, f } = words(c);
  if (price.dailyFromMinute === null || price.dailyToMinute === null) return t.landing.allDayElse;
  return t.landing.windowUtc(f.time(price.dailyFromMinute * 60_000), f.time(price.dailyToMinute * 60_000));
}
