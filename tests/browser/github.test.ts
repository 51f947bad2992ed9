/** Sign-in with GitHub in Chromium, which applies the page's Content-Security-Policy to a form's redirects, too. */
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, inject, it } from 'vitest';
import { databaseIn, type Edge, startEdge } from '../../gpu-pool/local/edge.ts';
import { freePorts } from '../e2e/ports.ts';
import { launchChromium } from './chromium.ts';
import { GITHUB_SETTINGS } from './fixtures.ts';

const stateDir = mkdtempSync(join(tmpdir(), 'tollgate-github-'));
let edge: Edge | undefined;
let browser: Browser | undefined;

beforeAll(async () => {
  cpSync(inject('database'), databaseIn(stateDir), { recursive: true });
  const [port, script] = [await freePorts(1), inject('script')];
  edge = await startEdge({ port, stateDir, script, settings: GITHUB_SETTINGS });
  browser = await launchChromium();
});
afterAll(async () => {
  await browser?.close();
  await edge?.stop();
  rmSync(stateDir, { recursive: true, force: true });
});

it.each(['/sign-in', '/sign-up'])(
  'the button at %s leads to GitHub’s page, and the callback explains a denied request',
  async (path) => {
    const visitor = await browser!.newContext({ baseURL: edge!.url, locale: 'en-GB' });
    const page = await visitor.newPage();
    await page.goto(path);
    // GitHub cannot be reached from a test: it is enough that Chromium requests its page
    const [request] = await Promise.all([
      page.waitForRequest('https://github.com/login/oauth/authorize?**', { timeout: 60_000 }),
      page.getByRole('button', { name: 'Continue with GitHub' }).click({ noWaitAfter: true }),
    ]);
    const query = new URL(request.url()).searchParams;
    const callback = new URL(query.get('redirect_uri')!);
    expect(callback.origin).toBe(edge!.url);
    callback.search = `${new URLSearchParams({ error: 'access_denied', state: query.get('state')! })}`;
    // in another tab, because the first is about to show that GitHub cannot be reached
    const tab = await visitor.newPage();
    await tab.goto(callback.href);
    await tab.getByRole('heading', { name: 'GitHub sign-in cancelled' }).waitFor();
    await tab.getByRole('link', { name: 'Back to sign-in' }).click();
    await tab.waitForURL('**/sign-in');
    await visitor.close();
  },
);
