/** What the browser tests share: a local Tollgate, a Chromium, and ways to read its pages as a person does. */
import type { Browser, BrowserContext, BrowserContextOptions, Locator, Page } from 'playwright-core';
import { expect } from 'vitest';
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

/** Does now what the edge does every minute. */
export async function probe({ origin }: Portal): Promise<void> {
  const answer = await fetch(`${origin}/cdn-cgi/local/scheduled`);
  expect([answer.status, await answer.text()]).toEqual([200, 'ok']);
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
  // half a page has half a table
  await page.waitForLoadState('domcontentloaded');
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
  return fact(page.locator('dl > div'), label);
}

/** What a list of facts says under that name. */
export function fact(within: Page | Locator, name: string): Locator {
  return within
    .locator('dt')
    .and(within.getByText(name, { exact: true }))
    .locator('xpath=following-sibling::dd[1]');
}

/** `-$1,234.5`, `1 234,5 $` or `0.000000001` as nano-USD. A whole amount has its cents, or is 0: the last mark is theirs. */
export function amountNano(text: string): number {
  const marks = text.replace(/[^\d.,]/g, '');
  const at = Math.max(marks.lastIndexOf('.'), marks.lastIndexOf(','));
  const amount = at < 0 ? nano(marks) : nano(`${count(marks.slice(0, at))}.${marks.slice(at + 1)}`);
  return /[-−]/.test(text) ? -amount : amount;
}

/** `1,234` or `1 234` as a number. */
export function count(text: string): number {
  return Number(text.replace(/[\s,]/g, ''));
}

/** What the browser complains of from now on: errors of the page and of the console, refused by the policy included. */
export function faultsOf(page: Page): string[] {
  const faults: string[] = [];
  page.on('console', (message) => message.type() === 'error' && faults.push(message.text()));
  page.on('pageerror', (error) => faults.push(String(error)));
  return faults;
}

/** Presses Tab until the element has the focus, which can be seen at every stop. */
export async function tabTo(page: Page, wanted: Locator): Promise<void> {
  for (let stops = 0; stops < 40; stops++) {
    await page.keyboard.press('Tab');
    const seen = await page.evaluate(() => {
      const focused = document.activeElement!;
      const { outlineStyle, outlineWidth } = getComputedStyle(focused);
      const isSeen = focused.matches(':focus-visible') && outlineStyle !== 'none' && outlineWidth !== '0px';
      return isSeen ? 'focus is seen' : `no focus is seen: ${focused.outerHTML}`;
    });
    expect(seen).toBe('focus is seen');
    if (await wanted.evaluate((element) => element === document.activeElement)) return;
  }
  throw new Error(`Tab does not lead to ${wanted}`);
}

declare global {
  /** what `watchPace` has seen of the page */
  var pace: { shifts: number; largestPaintMs: number };
}

/** From now on every page of the context counts how far its parts move by themselves, and when the largest was painted. */
export async function watchPace(context: BrowserContext): Promise<void> {
  await context.addInitScript(() => {
    globalThis.pace = { shifts: 0, largestPaintMs: 0 };
    type Shift = PerformanceEntry & { value: number; hadRecentInput: boolean };
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries() as Shift[])
        if (!entry.hadRecentInput) globalThis.pace.shifts += entry.value;
    }).observe({ type: 'layout-shift', buffered: true });
    new PerformanceObserver((list) => {
      globalThis.pace.largestPaintMs = list.getEntries().at(-1)!.startTime;
    }).observe({ type: 'largest-contentful-paint', buffered: true });
  });
}

export function paceOf(page: Page): Promise<typeof globalThis.pace> {
  return page.evaluate(() => globalThis.pace);
}
