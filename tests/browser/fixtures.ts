/** Shared fixtures of the browser tests: a local Tollgate, Chromium, and helpers that read pages as a person does. */
import type { Browser, BrowserContext, BrowserContextOptions, Locator, Page } from 'playwright-core';
import { expect } from 'vitest';
import type { StackOptions } from '../../gpu-pool/local/stack.ts';
import { type Local, nano, startLocal } from '../e2e/local.ts';
import { launchChromium } from './chromium.ts';

/** The settings of a GitHub app that does not exist. */
export const GITHUB_SETTINGS = {
  GITHUB_CLIENT_ID: 'Ov23liTestTestTest01',
  GITHUB_CLIENT_SECRET: '0123456789abcdef0123456789abcdef01234567',
};

export interface Portal {
  readonly local: Local;
  readonly origin: string;
  /** Opens a browser context with its own cookies. Playwright closes it with the browser. */
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

/** Runs the edge's scheduled handler, which probes the nodes every minute, now. */
export async function probe({ origin }: Portal): Promise<void> {
  const answer = await fetch(`${origin}/cdn-cgi/local/scheduled`);
  expect([answer.status, await answer.text()]).toEqual([200, 'ok']);
}

export async function signIn(page: Page, who: { email: string; password: string }): Promise<void> {
  await page.goto('/sign-in');
  await page.locator('#email').fill(who.email);
  await page.locator('#password').fill(who.password);
  await page.locator('form[action="/sign-in"] button').click();
  // wait for the load: Chromium may hang when a page is closed in the middle of a navigation
  await page.waitForURL(({ pathname }) => pathname !== '/sign-in');
}

/** The rows of the table with this label as records by column name. Rows with cells that span columns are left out. */
export async function rowsOf(page: Page, label: string): Promise<Record<string, string>[]> {
  const table = page.getByRole('group', { name: label, exact: true });
  // a page that is still loading may have a part of the table
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

/** The text of the located element as it is shown. */
export async function shownIn(locator: Locator): Promise<string> {
  await locator.waitFor();
  return (await locator.allInnerTexts()).join();
}

/** The amount in the tile with this label, in nano-USD. */
export async function tileNano(page: Page, label: string): Promise<number> {
  return amountNano(await shownIn(tile(page, label)));
}

export function tile(page: Page, label: string): Locator {
  return fact(page.locator('dl > div'), label);
}

/** The value of a description list under this name. */
export function fact(within: Page | Locator, name: string): Locator {
  return within
    .locator('dt')
    .and(within.getByText(name, { exact: true }))
    .locator('xpath=following-sibling::dd[1]');
}

/**
 * Parses `-$1,234.5`, `1 234,5 $` or `0.000000001` as nano-USD. Every amount but 0 is shown with its cents, so the last
 * mark is the decimal one.
 */
export function amountNano(text: string): number {
  const marks = text.replace(/[^\d.,]/g, '');
  const at = Math.max(marks.lastIndexOf('.'), marks.lastIndexOf(','));
  const amount = at < 0 ? nano(marks) : nano(`${count(marks.slice(0, at))}.${marks.slice(at + 1)}`);
  return /[-−]/.test(text) ? -amount : amount;
}

/** Parses `1,234` or `1 234`. */
export function count(text: string): number {
  return Number(text.replace(/[\s,]/g, ''));
}

/** Collects errors of the page and the console from now on, violations of the Content-Security-Policy included. */
export function browserErrorsOf(page: Page): string[] {
  const faults: string[] = [];
  page.on('console', (message) => message.type() === 'error' && faults.push(message.text()));
  page.on('pageerror', (error) => faults.push(String(error)));
  return faults;
}

/** Presses Tab until the element has the focus. The focus must be visible at every stop. */
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
  /** The record that `watchRendering` has made of the page. */
  var rendering: { shifts: number; largestPaintMs: number };
}

/** Makes every page of the context record its layout shifts and its largest contentful paint. */
export async function watchRendering(context: BrowserContext): Promise<void> {
  await context.addInitScript(() => {
    globalThis.rendering = { shifts: 0, largestPaintMs: 0 };
    type Shift = PerformanceEntry & { value: number; hadRecentInput: boolean };
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries() as Shift[])
        if (!entry.hadRecentInput) globalThis.rendering.shifts += entry.value;
    }).observe({ type: 'layout-shift', buffered: true });
    new PerformanceObserver((list) => {
      globalThis.rendering.largestPaintMs = list.getEntries().at(-1)!.startTime;
    }).observe({ type: 'largest-contentful-paint', buffered: true });
  });
}

export function renderingOf(page: Page): Promise<typeof globalThis.rendering> {
  return page.evaluate(() => globalThis.rendering);
}
