/** The API reference in a real browser: it shows every route, light and dark, wide and narrow, and calls no other origin. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { browserErrorsOf, openPortal, type Portal } from './fixtures.ts';

let portal: Portal;
beforeAll(async () => {
  portal = await openPortal();
});
afterAll(() => portal.end());

it.each([
  [1280, 'light'],
  [390, 'dark'],
] as const)(
  'is shown at %i px in the %s scheme and sends requests only to its own origin',
  async (width, colorScheme) => {
    const context = await portal.visitor({ viewport: { width, height: 900 }, colorScheme });
    const page = await context.newPage();
    const faults = browserErrorsOf(page);
    const otherOrigins: string[] = [];
    page.on('request', (request) => {
      const url = new URL(request.url());
      if (url.protocol.startsWith('http') && url.origin !== portal.origin) otherOrigins.push(url.href);
    });
    await page.goto('/docs');
    await page.getByRole('heading', { name: 'Chat completion', exact: true }).first().waitFor();
    const text = await page.locator('main').textContent();
    for (const path of ['/v1/chat/completions', '/v1/responses', '/anthropic/v1/messages'])
      expect(text).toContain(path);
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    expect(overflow).toBeLessThanOrEqual(0);
    const background = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const [red = 0] = background.match(/\d+/g)?.map(Number) ?? [];
    expect(red > 128).toBe(colorScheme === 'light');
    expect(faults).toEqual([]);
    expect(otherOrigins).toEqual([]);
    await context.close();
  },
);
