/** Four people and what each comes for, from the first page to the last, in both languages, over one running Tollgate. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { expectLaws } from '../e2e/local.ts';
import { openPortal, type Portal, paceOf, watchPace } from './fixtures.ts';
import { develops, developsWithoutScript } from './people/developer.ts';
import { seesNodesDie, traces } from './people/engineer.ts';
import { operates } from './people/operator.ts';
import { pays } from './people/payer.ts';
import { type Customer, LOCALES, story } from './people/story.ts';

const CLS_MAX = 0.05;
const LCP_MS_MAX = 2_000;

let portal: Portal;
const customers = new Map<string, Customer>();

beforeAll(async () => {
  portal = await openPortal();
});
afterAll(() => portal?.end());

describe('a startup’s developer goes from the first page to keys and playground', () => {
  it.concurrent.each(LOCALES)('in %s', async (locale) => {
    customers.set(locale, await develops(story(portal, locale)));
  });
  it.concurrent.each(LOCALES)('in %s, without script as far as the usage', (locale) =>
    developsWithoutScript(story(portal, locale)),
  );
});

describe('the one who pays joins, tops up, and finds every cent again', () => {
  it.concurrent.each(LOCALES)('in %s', (locale) => pays(story(portal, locale), customers.get(locale)!));
});

describe('pages that are full come fast and hold still', () => {
  it.each(LOCALES)('in %s', async (locale) => {
    const { openAs } = story(portal, locale);
    for (const width of [390, 1280]) {
      const page = await openAs(customers.get(locale)!, { viewport: { width, height: 844 } });
      await watchPace(page.context());
      for (const path of ['/', '/usage', '/billing', '/requests']) {
        await page.goto(path);
        await page.waitForFunction(() => globalThis.pace.largestPaintMs > 0);
        const { shifts, largestPaintMs } = await paceOf(page);
        expect(shifts, `${path} at ${width} px`).toBeLessThanOrEqual(CLS_MAX);
        expect(largestPaintMs, `${path} at ${width} px`).toBeLessThanOrEqual(LCP_MS_MAX);
      }
      await page.context().close();
    }
  });
});

describe('the operator drains, reckons, grants and suspends', () => {
  /** one each: they work at the same time */
  const nodes = { 'en-GB': 'h800-pair-2', 'fr-FR': 'mi300x-1' };
  it.concurrent.each(LOCALES)('in %s', (locale) =>
    operates(story(portal, locale), customers.get(locale)!, nodes[locale]),
  );
});

describe('the engineer on call', () => {
  it.concurrent.each(LOCALES)('goes from one request’s id to its node and its entry, in %s', (locale) =>
    traces(story(portal, locale), customers.get(locale)!),
  );

  it('finds the books in order, and sees nodes die', async () => {
    await expectLaws(portal.local);
    await seesNodesDie(
      portal,
      LOCALES.map((locale) => story(portal, locale)),
    );
  });
});
