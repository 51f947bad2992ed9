/** The landing page: the offer, its prices, and the promises that can be checked. */
import { Hono } from 'hono';
import { loadCatalogue } from '../../db/catalogue.ts';
import { database } from '../../db/client.ts';
import { loadReferencePrices } from '../../db/reference-prices.ts';
import { onSale } from '../../domain/model-end.ts';
import { shownReferences } from '../../domain/price-comparison.ts';
import { config } from '../../env.ts';
import { unservedModels } from '../../gateway/unserved-models.ts';
import { trialOffer } from '../../identity/trial.ts';
import { type PortalEnv, words } from '../frame/context.ts';
import { page } from '../frame/layout.tsx';
import { Prices } from './price-list.tsx';

export const landingPage = new Hono<PortalEnv>();

landingPage.get('/', async (c) => {
  const { t, f } = words(c);
  const db = database(c.env);
  const nowMs = Date.now();
  const waitUntil = (promise: Promise<unknown>) => c.executionCtx.waitUntil(promise);
  const [catalogue, references, offer] = await Promise.all([
    loadCatalogue(db),
    loadReferencePrices(db),
    trialOffer(c.env, nowMs),
  ]);
  const others = shownReferences(references, nowMs);
  const unserved = await unservedModels(c.env, onSale(catalogue, nowMs), { nowMs, waitUntil });
  return page(
    c,
    { title: t.landing.title },
    <>
      <section class="py-6 sm:py-12">
        <h1 class="mb-4 max-w-3xl text-4xl sm:text-5xl">
          {/* non-breaking hyphens keep a model's name on one line */}
          {t.landing.title.replaceAll('-', '\u2011')}
        </h1>
        <p class="mb-7 max-w-xl text-lg">{t.landing.lead}</p>
        <div class="flex flex-wrap items-center gap-x-4 gap-y-2">
          <a href={c.get('person') ? '/start' : '/sign-up'} class="btn btn-primary">
            {c.get('person') ? t.start.title : t.landing.call}
          </a>
          <p class="muted text-sm">
            {offer ? t.landing.callNote(f.usd(offer.amountNanoUsd)) : t.landing.callNoteNoCredit}
          </p>
        </div>
        <pre class="snippet mt-8 max-w-2xl" tabindex={0}>
          <code>{`client = OpenAI(base_url="${config(c.env).publicOrigin}/v1", api_key="sk-tg-…")`}</code>
        </pre>
      </section>
      <Prices c={c} catalogue={catalogue} others={others} unserved={unserved} nowMs={nowMs} />
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
