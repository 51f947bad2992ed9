/** Every page on a phone and a desktop, light and dark, in English and French: accessible, within its width, small, without errors. */
import { globSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { gzipSync } from 'node:zlib';
import type { BrowserContext, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createKey, PortalSession } from '../../gpu-pool/local/portal-session.ts';
import { operatorApi } from '../../gpu-pool/local/stack.ts';
import { newId } from '../../worker/domain/ids.ts';
import { api, chatBody, type Local } from '../e2e/local.ts';
import { GITHUB_SETTINGS, openPortal, type Portal, signIn } from './fixtures.ts';

const KIB = 1024;
const HTML_GZ_MAX = 15 * KIB;
const CSS_GZ_MAX = 20 * KIB;
const WIDTHS = [390, 1280];
const SCHEMES = ['light', 'dark'] as const;
const LOCALES = ['en-GB', 'fr-FR'] as const;

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

type Who = 'nobody' | 'customer' | 'operator';

/** A paused batch of the customer. */
const BATCH = newId('batch', Date.now());

/** Id of a model whose texts are as long as they may be. */
const LONGEST = `long-${'x'.repeat(59)}`;

const PAGES: readonly [name: string, who: Who, path: string, status?: number][] = [
  ['landing', 'nobody', '/'],
  ['sign-up', 'nobody', '/sign-up'],
  ['sign-in', 'nobody', '/sign-in'],
  ['sign-in by e-mail', 'nobody', '/sign-in/link'],
  ['sign-in by a link', 'nobody', '/sign-in/link/token'],
  ['sign-in with GitHub that ended', 'nobody', '/sign-in/github/callback', 410],
  ['sign-in code', 'nobody', '/sign-in/code'],
  ['forgotten password', 'nobody', '/reset-password'],
  ['new password', 'nobody', '/reset-password/token'],
  ['lost second factor', 'nobody', '/sign-in/code/lost'],
  ['confirmation link', 'nobody', '/verify-email?token=spent', 200],
  ['ended invitation', 'nobody', '/invitation/token', 410],
  ['pricing', 'nobody', '/pricing'],
  ['pricing that is mistyped', 'nobody', '/pricing?requestsPerDay=many', 422],
  ['status', 'nobody', '/status'],
  ['privacy', 'nobody', '/privacy'],
  ['terms', 'nobody', '/terms'],
  ['not found', 'nobody', '/no/such/page', 404],
  ['settings', 'customer', '/settings'],
  ['second factor', 'customer', '/settings/second-factor'],
  ['second factor to confirm', 'customer', '/settings/second-factor/confirm'],
  ['team', 'customer', '/team'],
  ['account to close', 'customer', '/account/close'],
  ['mailbox', 'customer', '/mailbox'],
  ['start', 'customer', '/start'],
  ['keys', 'customer', '/keys'],
  ['aliases', 'customer', '/aliases'],
  ['aliases without any', 'operator', '/aliases'],
  ['usage', 'customer', '/usage'],
  ['usage without any', 'operator', '/usage'],
  ['billing', 'customer', '/billing'],
  ['limits and alerts', 'customer', '/alerts'],
  ['limits and alerts without any', 'operator', '/alerts'],
  ['requests', 'customer', '/requests'],
  ['requests without any', 'operator', '/requests'],
  ['request', 'customer', 'REQUEST'],
  ['requests of a ledger entry', 'customer', 'ENTRY'],
  ['batches', 'customer', '/batches'],
  ['batches without any', 'operator', '/batches'],
  ['batch', 'customer', `/batches/${BATCH}`],
  ['batch to cancel', 'customer', `/batches/${BATCH}/cancel`],
  ['promo code', 'customer', '/billing/promo'],
  ['operator pool', 'operator', '/operator/pool'],
  ['operator prices', 'operator', '/operator/prices'],
  ['operator end of a price', 'operator', '/operator/prices/end?version=deepseek-r1-0528%2Foff-peak%2F1'],
  ['operator comparison prices', 'operator', '/operator/comparison'],
  ['operator models', 'operator', '/operator/models'],
  ['operator new model', 'operator', '/operator/models/new?from=deepseek-r1-0528'],
  ['operator model', 'operator', '/operator/models/deepseek-r1-0528'],
  ['operator model with the longest texts', 'operator', `/operator/models/${LONGEST}`],
  ['operator end of a model', 'operator', '/operator/models/deepseek-r1-zero/end'],
  ['operator promo codes', 'operator', '/operator/promo-codes'],
  ['operator API tokens', 'operator', '/operator/tokens'],
  ['operator reconciliation', 'operator', '/operator/reconciliation'],
  ['operator closing', 'operator', '/operator/reconciliation/close?request=req_1&node=&kind=price'],
  ['operator payments', 'operator', '/operator/payments'],
  ['operator margin', 'operator', '/operator/margin'],
  ['operator accounts', 'operator', '/operator/accounts?q=acct_'],
  ['operator account', 'operator', 'ACCOUNT'],
  ['sandbox checkout', 'customer', 'CHECKOUT'],
];

/** Adds it, without prices. */
async function addLongestModel({ local }: Portal): Promise<void> {
  const profile = JSON.parse(readFileSync('gpu-pool/models/deepseek-r1-0528.json', 'utf8'));
  const long = (length: number) => `Long-${'x'.repeat(length - 5)}`;
  await operatorApi(local.stack.edge, 'POST', '/models', {
    id: LONGEST,
    name: long(80),
    aliases: Array.from({ length: 16 }, (_, index) => `${long(125)}${index}`),
    model_paths: [long(256)],
    revision: long(100),
    license: long(100),
    context_tokens: 131_072,
    output_tokens_max: 65_536,
    output_tokens_default: 32_768,
    profile,
  });
}

let portal: Portal;
/** Paths that are known only after the setup, by their placeholder in PAGES. */
const dynamicPaths: Record<string, string> = {};
const contexts = new Map<string, BrowserContext>();

beforeAll(async () => {
  portal = await openPortal({ settings: GITHUB_SETTINGS });
  await createUsage(portal);
  await addLongestModel(portal);
  const { portal: customer, operator } = portal.local.stack.dev;
  for (const locale of LOCALES) {
    for (const who of ['nobody', 'customer', 'operator'] as const) {
      const context = await portal.visitor({ locale });
      contexts.set(`${who} ${locale}`, context);
      if (who === 'nobody') continue;
      await signIn(await context.newPage(), who === 'customer' ? customer : operator);
    }
  }
  const page = await contexts.get(`customer ${LOCALES[0]}`)!.newPage();
  await createAlerts(page);
  await page.goto('/billing');
  await page.locator('form[action="/billing"] button').click();
  await page.waitForURL('**/sandbox/checkout/*');
  dynamicPaths.CHECKOUT = new URL(page.url()).pathname;
  await page.goto('/requests');
  dynamicPaths.REQUEST = (await page.locator('tbody a').first().getAttribute('href'))!;
  await page.goto(dynamicPaths.REQUEST);
  const entry = (await page.locator('[aria-labelledby="ledger"] a').first().getAttribute('href'))!;
  dynamicPaths.ENTRY = `/requests?entry=${Number(/before=(\d+)/.exec(entry)![1]) - 1}`;
  dynamicPaths.ACCOUNT = `/operator/accounts/${portal.local.stack.dev.account}`;
});
afterAll(() => portal?.end());

/** Creates three keys, requests of each, and a month of rollups, of which few are today's: axe's time grows with the rows. */
async function createUsage({ local }: Portal): Promise<void> {
  const { dev } = local.stack;
  const visitor = new PortalSession(dev.baseUrl);
  await visitor.signInOrSignUp({ ...dev.portal, name: 'Demo' });
  const keys = [
    dev.apiKey,
    await createKey(visitor, { name: 'chat backend', capUsd: '25' }),
    await createKey(visitor, {
      name: 'a-name-that-is-as-long-as-names-may-be-and-never-breaks-here',
      capUsd: '5',
    }),
  ];
  const question = 'The parties agree to the terms that are set out below. '.repeat(20);
  await Promise.all(
    Array.from({ length: 24 }, async (_, i) => {
      const answer = await api(local, '/v1/chat/completions', {
        method: 'POST',
        headers: { authorization: `Bearer ${keys[i % keys.length]}` },
        body: chatBody(`${question}${i} [[reasoning=${50 + i} answer=${20 + i}]]`),
      });
      await answer.text();
    }),
  );
  // two writers of one database file would block each other
  await local.stack.edge.stop();
  writeRollups(local);
  await local.stack.restartEdge();
}

/** Creates an exceeded cap, an endpoint without a listener, and a notice that is sent to it and by e-mail. */
async function createAlerts(page: Page): Promise<void> {
  await page.goto('/alerts');
  await page.locator('#capUsd').fill('0.000000001');
  await page.locator('form[action="/alerts/cap"] button').click();
  await page
    .locator('#url')
    .fill('http://127.0.0.1:9/a-path-that-is-as-long-as-paths-are-when-nobody-looks-at-them');
  await page.locator('form[action="/alerts/endpoints"] button').click();
  // a threshold above the balance is notified at once
  await page.locator('#lowBalanceUsd').fill('999999');
  await page.locator('form[action="/alerts/watch"] button').click();
  const failed = page.getByRole('cell', { name: 'unreachable' });
  for (let seconds = 0; seconds < 20 && (await failed.count()) === 0; seconds++) {
    await page.waitForTimeout(1_000);
    await page.goto('/alerts');
  }
  expect(await failed.count()).toBeGreaterThan(0);
}

function writeRollups({ stateDir, stack: { dev } }: Local): void {
  const [file = ''] = globSync(join(stateDir, 'd1/v3/d1/miniflare-D1DatabaseObject/*.sqlite')).filter(
    (each) => !each.endsWith('metadata.sqlite'),
  );
  const db = new DatabaseSync(file);
  const hours = db.prepare('INSERT OR IGNORE INTO usage_hour VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0)');
  const ids = db.prepare('SELECT id FROM api_key WHERE account_id = ?').all(dev.account) as { id: string }[];
  const thisHourMs = Math.floor(Date.now() / 3_600_000) * 3_600_000;
  db.exec('BEGIN');
  for (let hour = 1; hour < 24 * 30; hour += hour < 24 ? 6 : 1) {
    for (const [k, { id }] of ids.entries()) {
      const n = (hour * 7_919 + k * 104_729) % 9_973;
      const tokens = [n * 31, n * 17, n * 53, n * 11];
      hours.run(
        dev.account,
        thisHourMs - hour * 3_600_000,
        id,
        'deepseek-r1-0528',
        n,
        ...tokens,
        n * 31_415_927,
      );
    }
  }
  db.prepare(
    `INSERT INTO batch (id, account_id, key_id, endpoint, input_file_id, state, paused_by, errors, total, completed, failed,
       charge_nano_usd, created_at_ms, expires_at_ms)
     VALUES (?, ?, ?, '/v1/chat/completions', 'file_1', 'in_progress', 'insufficient_balance', ?, 1200, 800, 3, 98765432, ?, ?)`,
  ).run(
    BATCH,
    dev.account,
    ids[0]!.id,
    JSON.stringify([
      { code: 'invalid_json', message: 'The line is not valid UTF-8 JSON.', line: 7, param: null },
    ]),
    thisHourMs,
    thisHourMs + 86_400_000,
  );
  const detail = { priceId: 'deepseek-r1-0528/standard/1', charged: 500, recomputed: 501 };
  db.prepare("INSERT INTO drift VALUES ('req_1', '', 'price', ?, ?, ?, NULL)").run(
    dev.account,
    thisHourMs,
    JSON.stringify(detail),
  );
  db.exec('COMMIT');
  db.close();
}

describe.each(LOCALES)('in %s', (locale) => {
  it.concurrent.each(PAGES)('%s', async (_, who, path, status = 200) => {
    const page = await contexts.get(`${who} ${locale}`)!.newPage();
    try {
      const errors: string[] = [];
      page.on('pageerror', (error) => errors.push(error.message));
      page.on('console', (message) => {
        // Chromium reports an expected error status of the page as an error, too
        if (message.type() === 'error' && !(status >= 400 && message.location().url === page.url()))
          errors.push(message.text());
      });
      const response = await page.goto(dynamicPaths[path] ?? path);
      expect(response!.status()).toBe(status);
      const html = await response!.text();
      expect(html).toMatch(new RegExp(`<html lang="${locale.slice(0, 2)}"`));
      expect(html).not.toMatch(/<script|\sstyle=|\son\w+=|undefined|NaN|\[object/);
      expect(gzipSync(html).length).toBeLessThanOrEqual(HTML_GZ_MAX);

      for (const frame of page.frames()) await frame.evaluate(AXE);
      for (const colorScheme of SCHEMES) {
        await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
        for (const width of WIDTHS) {
          await page.setViewportSize({ width, height: 844 });
          expect(await violations(page), `axe at ${width} px, ${colorScheme}`).toEqual([]);
          const wide = await page.evaluate(() => document.documentElement.scrollWidth);
          expect(wide, `width of the document at ${width} px`).toBeLessThanOrEqual(width);
        }
      }
      expect(errors).toEqual([]);
    } finally {
      await page.close();
    }
  });
});

it('the usage page stays small where a month has ninety rows', async () => {
  const answer = await contexts.get(`customer ${LOCALES[0]}`)!.request.get('/usage?period=30d');
  const html = await answer.text();
  expect(html.match(/<tr/g)!.length).toBeGreaterThan(120);
  expect(gzipSync(html).length).toBeLessThanOrEqual(HTML_GZ_MAX);
});

it('the portal has one stylesheet of at most 20 KB', async () => {
  const css = await fetch(`${portal.origin}/app.css`);
  expect(css.status).toBe(200);
  expect(gzipSync(await css.text()).length).toBeLessThanOrEqual(CSS_GZ_MAX);
});

interface Axe {
  run(options: object): Promise<{ violations: { id: string; help: string; nodes: { html: string }[] }[] }>;
}

async function violations(page: Page): Promise<string[]> {
  return page.evaluate(async () => {
    // axe must not judge colours in transition to the other scheme. Finish the animations instead of waiting for them:
    // a page in the background may get no frames to animate.
    for (const animation of document.getAnimations()) animation.finish();
    const { axe } = globalThis as unknown as { axe: Axe };
    const { violations } = await axe.run({ resultTypes: ['violations'] });
    return violations.map(
      ({ id, help, nodes }) => `${id}: ${help}: ${nodes.map(({ html }) => html).join(' ')}`,
    );
  });
}
