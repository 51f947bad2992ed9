/** The journeys of four people through the portal, from the first page to the last, in both languages, over one Tollgate. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { expectLaws } from '../e2e/local.ts';
import { openPortal, type Portal, renderingOf, watchRendering } from './fixtures.ts';
import { developerJourney, developerJourneyWithoutScript } from './journeys/developer.ts';
import { traceRequest, watchNodesDie } from './journeys/engineer.ts';
import { type Customer, journey, LOCALES } from './journeys/journey.ts';
import { operatorJourney } from './journeys/operator.ts';
import { payerJourney } from './journeys/payer.ts';

const CLS_MAX = 0.05;
const LCP_MS_MAX = 2_000;

let portal: Portal;
const customers = new Map<string, Customer>();

beforeAll(async () => {
  portal = await openPortal();
});
afterAll(() => portal?.end());

describe('a startup’s developer gets from the first page to keys and the playground', () => {
  it.concurrent.each(LOCALES)('in %s', async (locale) => {
    customers.set(locale, await developerJourney(journey(portal, locale)));
  });
  it.concurrent.each(LOCALES)('in %s, and without JavaScript up to the usage page', (locale) =>
    developerJourneyWithoutScript(journey(portal, locale)),
  );
});

describe('a billing member joins, tops up, and can account for every cent', () => {
  it.concurrent.each(LOCALES)('in %s', (locale) =>
    payerJourney(journey(portal, locale), customers.get(locale)!),
  );
});

describe('pages full of data load fast and do not shift', () => {
  it.each(LOCALES)('in %s', async (locale) => {
    const { openAs } = journey(portal, locale);
    for (const width of [390, 1280]) {
      const page = await openAs(customers.get(locale)!, { viewport: { width, height: 844 } });
      await watchRendering(page.context());
      for (const path of ['/', '/usage', '/billing', '/requests']) {
        await page.goto(path);
        await page.waitForFunction(() => globalThis.rendering.largestPaintMs > 0);
        const { shifts, largestPaintMs } = await renderingOf(page);
        expect(shifts, `${path} at ${width} px`).toBeLessThanOrEqual(CLS_MAX);
        expect(largestPaintMs, `${path} at ${width} px`).toBeLessThanOrEqual(LCP_MS_MAX);
      }
      await page.context().close();
    }
  });
});

describe('the operator drains a node, checks margins, grants credit and suspends an account', () => {
  /** One node for each language, because both journeys run at the same time. */
  const nodes = { 'en-GB': 'h800-pair-2', 'fr-FR': 'mi300x-1' };
  it.concurrent.each(LOCALES)('in %s', (locale) =>
    operatorJourney(journey(portal, locale), customers.get(locale)!, nodes[locale]),
  );
});

describe('the engineer on call', () => {
  it.concurrent.each(LOCALES)('finds the node and the ledger entry of a request by its id, in %s', (locale) =>
    traceRequest(journey(portal, locale), customers.get(locale)!),
  );

  it('sees nodes die, after no law of money was broken', async () => {
    await expectLaws(portal.local);
    await watchNodesDie(
      portal,
      LOCALES.map((locale) => journey(portal, locale)),
    );
  });
});
