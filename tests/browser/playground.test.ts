/** The playground in a real browser: streamed reasoning, answer and cost, stopping an answer, errors, and code. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import type { BrowserContext, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { api, expectLaws } from '../e2e/local.ts';
import {
  amountNano,
  browserErrorsOf,
  openPortal,
  type Portal,
  renderingOf,
  shownIn,
  signIn,
  watchRendering,
} from './fixtures.ts';

const SCRIPT_GZ_MAX = 40 * 1024;
const HTML_GZ_MAX = 15 * 1024;
const CLS_MAX = 0.05;

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

let portal: Portal;
beforeAll(async () => {
  portal = await openPortal({ speed: 5 });
});
afterAll(() => portal?.end());

interface OpenPlayground {
  page: Page;
  context: BrowserContext;
  /** Errors of the page and the console, violations of the Content-Security-Policy included. */
  faults: string[];
}

async function open(width: number, colorScheme: 'light' | 'dark'): Promise<OpenPlayground> {
  const context = await portal.visitor({ viewport: { width, height: 900 }, colorScheme });
  await watchRendering(context);
  const page = await context.newPage();
  await signIn(page, portal.local.stack.dev.portal);
  const faults = browserErrorsOf(page);
  await page.goto('/playground');
  await page.getByLabel('Message').waitFor();
  return { page, context, faults };
}

const log = (page: Page) => page.getByRole('log');
const last = (page: Page) => log(page).locator('article').last();
const settled = (page: Page) => last(page).locator('[data-settled=true]').waitFor({ timeout: 60_000 });

async function ask(page: Page, text: string): Promise<void> {
  await page.getByLabel('Message').fill(text);
  await page.getByLabel('Message').press('Control+Enter');
}

/** The API's record of the request to which the last answer links. */
async function generation(page: Page) {
  const link = last(page).getByRole('link', { name: 'View request' });
  const id = (await link.getAttribute('href'))!.replace('/requests/', '');
  return (await (await api(portal.local, `/v1/generations/${id}`)).json()) as {
    state: string;
    ending: string;
    charge_nano_usd: number;
    usage: { prompt_tokens: number; completion_tokens: number; reasoning_tokens: number };
  };
}

async function costShown(page: Page): Promise<number> {
  return amountNano(await shownIn(last(page).locator('[data-settled=true]')));
}

it('streams reasoning and answer, and shows their tokens and cost to the nano-USD', async () => {
  const { page, context, faults } = await open(1280, 'light');
  await ask(page, 'How <b>many</b> primes? [[reasoning=40 answer=900]]');
  expect(await page.getByLabel('Message').inputValue()).toBe('');
  // one locator for both, because between two a slow page could move on
  await page.locator('[role=log][aria-busy=true] [data-part=reasoning]').waitFor();
  await settled(page);
  expect(await log(page).getAttribute('aria-busy')).toBe('false');
  expect(await shownIn(last(page).locator('[data-part=reasoning]'))).toContain('Okay, let me think');
  expect(await shownIn(last(page).locator('[data-part=answer]'))).toContain('Here is the answer');
  expect(await shownIn(last(page))).toContain('How <b>many</b> primes?');
  const { charge_nano_usd, usage, state, ending } = await generation(page);
  expect([state, ending]).toEqual(['posted', 'finished']);
  expect(await costShown(page)).toBe(charge_nano_usd);
  const facts = await shownIn(last(page).locator('dl'));
  expect(facts).toMatch(/Time to first token\s+[\d.,]+ (ms|s)/);
  expect(facts.replace(/\s+/g, ' ')).toContain(
    `Input ${usage.prompt_tokens} of which cached 0 Reasoning 40 Answer ${usage.completion_tokens - 40}`,
  );

  // the answer is part of the next prompt; the reasoning of earlier answers closes unless pinned
  await ask(page, 'And below 200? [[reasoning=10 answer=10]]');
  await settled(page);
  const openOnes = () => log(page).locator('details[open]').count();
  expect(await openOnes()).toBe(1);
  await page.getByLabel('Keep reasoning open').check();
  await expect.poll(openOnes).toBe(2);
  expect((await generation(page)).usage.prompt_tokens).toBeGreaterThan(usage.prompt_tokens + 50);
  expect(faults).toEqual([]);
  expect((await renderingOf(page)).shifts).toBeLessThanOrEqual(CLS_MAX);
  await context.close();
});

it('stops an answer, which is charged to the token, and retries it', async () => {
  const { page, context, faults } = await open(1280, 'light');
  await page.getByLabel('Message').fill('Tell me all. [[reasoning=20 answer=6000]]');
  await page.getByRole('button', { name: 'Send' }).press('Enter');
  await last(page).locator('[data-part=answer]').waitFor();
  // the focus moves to Stop, and back to the message
  await page.keyboard.press('Enter');
  await settled(page);
  expect(await page.evaluate(() => document.activeElement?.id)).toBe('message');
  const stopped = await generation(page);
  expect(stopped).toMatchObject({ state: 'posted', ending: 'client_gone' });
  expect(stopped.usage.completion_tokens).toBeGreaterThan(20);
  expect(stopped.usage.completion_tokens).toBeLessThan(6_000);
  expect(await costShown(page)).toBe(stopped.charge_nano_usd);
  const note = await shownIn(last(page).locator('[data-part=stopped]'));
  expect(amountNano(/\$[\d.]*\d/.exec(note)![0])).toBe(stopped.charge_nano_usd);

  await page.getByRole('button', { name: 'Retry' }).click();
  await last(page).locator('[data-part=answer]').waitFor();
  expect(await log(page).locator('article').count()).toBe(1);
  await page.getByRole('button', { name: 'Clear' }).click();
  await expect.poll(() => log(page).locator('article').count()).toBe(0);
  expect(faults).toEqual([]);
  await context.close();
  await expectLaws(portal.local);
});

it('shows the API’s error and what to do, and keeps the message', async () => {
  const { page, context } = await open(1280, 'light');
  await page.getByLabel('Max tokens').fill('99999999');
  await ask(page, 'Hello?');
  const alert = last(page).getByRole('alert');
  await alert.waitFor();
  expect(await shownIn(alert)).toContain('max_tokens');
  expect(await shownIn(alert)).toContain('Change the settings');
  expect(await shownIn(last(page))).toContain('Hello?');
  await page.getByLabel('Max tokens').fill('5');
  await page.getByRole('button', { name: 'Retry' }).click();
  await settled(page);
  expect(await shownIn(last(page))).toContain('Stopped: a token limit');
  expect((await generation(page)).usage.completion_tokens).toBe(5);

  // the session has ended before a token was fetched
  await page.reload();
  await page.context().clearCookies();
  await ask(page, 'Hello?');
  await last(page).getByRole('link', { name: 'Sign in again' }).waitFor();
  await context.close();
});

it('takes a JSON schema, with notes on it, and shows the API’s refusal of one that it cannot hold to', async () => {
  const { page, context, faults } = await open(390, 'light');
  const field = page.getByLabel('JSON schema');
  const notes = page.locator('#schema-notes');
  expect(await field.isVisible()).toBe(false);
  await page.locator('summary', { hasText: 'Structured output' }).click();
  await field.fill('{"type": ');
  await expect.poll(() => shownIn(notes)).toContain('not valid JSON');
  const price = { type: 'number', multipleOf: 0.5 };
  await field.fill(JSON.stringify({ type: 'object', properties: { price }, required: ['price'] }));
  await expect.poll(() => shownIn(notes)).toContain('properties.price.multipleOf is not supported');
  expect(await field.getAttribute('aria-invalid')).toBe('true');
  await ask(page, 'What is it?');
  const refusal = last(page).getByRole('alert');
  await refusal.waitFor();
  expect(await shownIn(refusal)).toContain('response_format.json_schema.schema.properties.price.multipleOf');
  expect(await log(page).evaluate(({ scrollWidth, clientWidth }) => scrollWidth - clientWidth)).toBe(0);

  const name = { type: 'string', minLength: 1 };
  await field.fill(JSON.stringify({ type: 'object', properties: { name }, required: ['name'] }));
  await expect.poll(() => shownIn(notes)).toContain('line breaks, quotation marks and backslashes');
  expect(await shownIn(notes)).toContain('properties.name.minLength');
  expect(await field.getAttribute('aria-invalid')).toBe('false');
  expect(await axe(page)).toEqual([]);
  const wide = await page.evaluate(() => document.documentElement.scrollWidth);
  expect(wide).toBeLessThanOrEqual(390);
  await page.getByRole('button', { name: 'Retry' }).click();
  await settled(page);
  const answer = JSON.parse(await shownIn(last(page).locator('[data-part=answer]')));
  expect(answer).toEqual({ name: expect.stringMatching(/./) });
  // the browser reports each response of 400 as an error of its own
  expect(faults.filter((fault) => !fault.includes('400'))).toEqual([]);
  await context.close();
});

it('fetches a new token when its own is rejected', async () => {
  const { page, context } = await open(1280, 'light');
  let minted = 0;
  await page.route('**/playground/token', async (route) => {
    minted += 1;
    if (minted > 1) return route.continue();
    const expiresAtMs = Date.now() + 900_000;
    await route.fulfill({ json: { token: 'eyJ.e30.AAAA', expiresAtMs } });
  });
  await ask(page, 'Hello? [[reasoning=3 answer=5]]');
  await settled(page);
  expect(await shownIn(last(page).locator('[data-part=answer]'))).not.toBe('');
  expect(minted).toBe(2);
  await context.close();
});

it.each([
  [1280, 'light'],
  [390, 'dark'],
] as const)('is accessible at %i px in the %s scheme, with everything open', async (width, scheme) => {
  const { page, context, faults } = await open(width, scheme);
  expect(await axe(page)).toEqual([]);
  await page.getByLabel('System prompt').fill("Be brief: it's late");
  await page.getByLabel('Temperature').fill('0.6');
  await ask(page, 'Hello [[reasoning=30 answer=30]]');
  await settled(page);
  expect((await renderingOf(page)).shifts).toBeLessThanOrEqual(CLS_MAX);
  await page.locator('summary', { hasText: 'View code' }).click();
  const code = page.locator('pre.snippet');
  expect(await shownIn(code)).toContain(`"content": "Be brief: it'\\''s late"`);
  await page.getByRole('radio', { name: 'Python' }).check();
  expect(await shownIn(code)).toContain('temperature=0.6,');
  await page.getByLabel('Max tokens').fill('77');
  await expect.poll(() => shownIn(code)).toContain('max_tokens=77,');
  expect(await axe(page)).toEqual([]);
  const wide = await page.evaluate(() => document.documentElement.scrollWidth);
  expect(wide).toBeLessThanOrEqual(width);
  expect(faults).toEqual([]);
  await context.close();
});

it('speaks French', async () => {
  const context = await portal.visitor({ locale: 'fr-FR', viewport: { width: 390, height: 900 } });
  const page = await context.newPage();
  await signIn(page, portal.local.stack.dev.portal);
  await page.goto('/playground');
  await page.getByLabel('Message').fill('Bonjour [[reasoning=5 answer=5]]');
  await page.getByRole('button', { name: 'Envoyer' }).click();
  await settled(page);
  expect(await shownIn(last(page).locator('[data-settled=true]'))).toMatch(/^0,0000\d+\s\$$/);
  expect(await shownIn(page.locator('#playground'))).not.toMatch(/undefined|\{\w+\}/);
  expect(await axe(page)).toEqual([]);
  await context.close();
});

it('explains without JavaScript what it needs, and leads to the start page', async () => {
  const context = await portal.visitor({ javaScriptEnabled: false });
  const page = await context.newPage();
  await signIn(page, portal.local.stack.dev.portal);
  await page.goto('/playground');
  expect(await shownIn(page.locator('noscript'))).toContain('needs JavaScript');
  await page.locator('noscript a').click();
  await page.waitForURL('**/start');
  await context.close();
});

it('has a small page and a small script', async () => {
  const { page, context } = await open(390, 'light');
  const html = await (await page.request.get('/playground')).text();
  expect(gzipSync(html).length).toBeLessThanOrEqual(HTML_GZ_MAX);
  const script = readFileSync(join(import.meta.dirname, '../../worker/portal/assets/playground.js'));
  expect(gzipSync(script).length).toBeLessThanOrEqual(SCRIPT_GZ_MAX);
  await context.close();
});

async function axe(page: Page): Promise<string[]> {
  await page.evaluate(AXE);
  return page.evaluate(async () => {
    const { axe } = globalThis as unknown as {
      axe: { run(o: object): Promise<{ violations: { id: string; nodes: { html: string }[] }[] }> };
    };
    const { violations } = await axe.run({ resultTypes: ['violations'] });
    return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`);
  });
}
