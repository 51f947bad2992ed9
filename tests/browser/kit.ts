/** What the browser tests share: a local Tollgate, a Chromium, and ways to read its pages as a person does. */
import type { Browser, BrowserContext, BrowserContextOptions, Locator, Page } from 'playwright-core';
import type { StackOptions } from '../../gpu-pool/local/stack.ts';
import { type Local, nano, startLocal } from '../e2e/local.ts';
import { launchChromium } from './chromium.ts';

/** Of an app that GitHub never heard of. */
export const GITHUB_SETTINGS = {
  GITHUB_CLIENT_ID: 'Ov23liTestTestTest01',
  GITHUB_CLIENT_SECRET: '0123456789abcdef0123456789abcdef01234567',
};

export interface Portal {
  readonly local: Local;
  readonly origin: string;
  /** A visitor with cookies of their own. Playwright closes it with the browser. */
  visitor(options?: BrowserContextOptions): Promise<BrowserContext>;
  end(): Promise<void>;
}

export async function openPortal(over: Partial<StackOptions> = {}): Promise<Portal> {
  const browser: Browser = await launchChromium();
  const local = await startLocal({ speed: 0, ...over }).catch(async (error) => {
    await browser.close();
    throw error;
  });
  const origin = local.stack.dev.baseUrl;
  return {
    local,
    origin,
    async visitor(options = {}) {
      const context = await browser.newContext({ baseURL: origin, locale: 'en-GB', ...options });
      context.setDefaultTimeout(15_000);
      return context;
    },
    async end() {
      await browser.close();
      await local.end();
    },
  };
}

export async function signIn(page: Page, who: { email: string; password: string }): Promise<void> {
  await page.goto('/sign-in');
  await page.locator('#email').fill(who.email);
  await page.locator('#password').fill(who.password);
  await page.locator('form[action="/sign-in"] button').click();
  // until it has loaded: Chromium may never answer who closes a page in the middle of a navigation
  await page.waitForURL(({ pathname }) => pathname !== '/sign-in');
}

/** The rows of the table with that label, each cell under the name of its column; rows that span columns are left out. */
export async function rowsOf(page: Page, label: string): Promise<Record<string, string>[]> {
  const table = page.getByRole('group', { name: label, exact: true });
  const names = await table.locator('thead th').allInnerTexts();
  const rows: Record<string, string>[] = [];
  for (const row of await table.locator('tbody tr').all()) {
    const cells = await row.locator('th, td').allInnerTexts();
    if (cells.length !== names.length) continue;
    rows.push(Object.fromEntries(cells.map((text, index) => [names[index]!.trim(), text.trim()])));
  }
  return rows;
}

/** The text of the one element that is meant, as it is shown. */
export async function shownIn(locator: Locator): Promise<string> {
  await locator.waitFor();
  return (await locator.allInnerTexts()).join();
}

/** The amount in a tile of the page, in nano-USD. */
export async function tileNano(page: Page, label: string): Promise<number> {
  return amountNano(await shownIn(tile(page, label)));
}

export function tile(page: Page, label: string): Locator {
  const named = page.locator('dt').filter({ hasText: new RegExp(`^${label}$`) });
  return page.locator('dl > div').filter({ has: named }).locator('dd').first();
}

/** `-$1,234.5` or `0.000000001` as nano-USD. */
export function amountNano(text: string): number {
  const digits = text.replace(/[\s$,]/g, '');
  return digits.startsWith('-') ? -nano(digits.slice(1)) : nano(digits);
}

export function count(text: string): number {
  return Number(text.replaceAll(',', ''));
}
