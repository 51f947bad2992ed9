/** The portal's pages: security headers, languages, and the content of the main pages. */
import { describe, expect, it } from 'vitest';
import { database } from '../../../worker/db/client.ts';
import { listKeys } from '../../../worker/db/keys.ts';
import { newId } from '../../../worker/domain/ids.ts';
import { nanoUsd } from '../../../worker/domain/money.ts';
import { formats } from '../../../worker/i18n/formats.ts';
import { LOCALES, MESSAGES } from '../../../worker/i18n/locale.ts';
import { KINDS, tokenBars } from '../../../worker/portal/components/chart/token-bars.ts';
import { Browser, bindings } from './browser.ts';

const db = database(bindings);

const NEW_KEY = {
  name: 'backend',
  capUsd: '12.50',
  capPeriod: 'day',
  requestsPerMinute: '60',
  tokensPerMinute: '90000',
  concurrency: '5',
  expiryDays: '30',
};

async function newestKey(browser: Browser) {
  const page = await (await browser.get('/keys')).text();
  const id = /\/keys\/(key_[0-9a-z]+)\/revoke/.exec(page)?.[1];
  const row = await bindings.DB.prepare('SELECT * FROM api_key WHERE id = ?').bind(id).first();
  return row as Record<string, string | number | null>;
}

async function makeOperator(email: string) {
  await bindings.DB.prepare("UPDATE person SET role = 'operator' WHERE email = ?").bind(email).run();
}

describe('every page', () => {
  it.each([
    '/',
    '/sign-up',
    '/sign-in',
    '/nowhere',
    '/start',
    '/keys',
    '/usage',
    '/billing',
    '/alerts',
    '/requests',
    '/billing/promo',
    '/operator/pool',
    '/operator/prices',
    '/operator/prices/end?version=deepseek-r1-0528%2Fstandard%2F1',
    '/operator/comparison',
    '/operator/models/deepseek-r1-zero/end',
    '/operator/promo-codes',
    '/operator/reconciliation',
    '/operator/margin',
    '/operator/accounts?q=acct_',
  ])('runs no script at %s', async (path) => {
    const browser = new Browser();
    const { email } = await browser.signUp();
    await makeOperator(email);
    const response = await browser.get(path);
    const policy = response.headers.get('content-security-policy') ?? '';
    expect(policy).toContain("default-src 'none'");
    expect(policy).toContain("frame-ancestors 'none'");
    expect(policy).not.toContain('unsafe');
    expect(response.headers.get('x-content-type-options')).toBe('nosniff');
    expect(response.headers.get('referrer-policy')).toBe('same-origin');
    expect(response.headers.get('cache-control')).toBe('private, no-store');
    const text = await response.text();
    expect(text).not.toMatch(/<script|\son\w+=|\sstyle=|<style/);
    expect(text).not.toContain('undefined');
  });

  it('is in French for a French browser, and after French was chosen', async () => {
    const french = await (await new Browser('fr-CA,fr;q=0.9,en;q=0.5').get('/')).text();
    expect(french).toContain('<html lang="fr"');
    expect(french).toContain(MESSAGES.fr.landing.title);
    const browser = new Browser('en');
    const response = await browser.post('/language', { language: 'fr', back: '/sign-in' });
    expect(response.headers.get('location')).toBe('/sign-in');
    expect(await (await browser.get('/sign-in')).text()).toContain(MESSAGES.fr.signIn.none);
  });

  it('falls back to English, and the language switch redirects to our own pages only', async () => {
    expect(await (await new Browser('tlh, *;q=0.1').get('/')).text()).toContain('<html lang="en"');
    const response = await new Browser().post('/language', { language: 'fr', back: '//evil.example' });
    expect(response.headers.get('location')).toBe('/');
  });

  it('responds to an unknown path with a page of its own', async () => {
    const response = await new Browser().get('/no/such/page');
    expect(response.status).toBe(404);
    expect(await response.text()).toContain(MESSAGES.en.notFound.title);
  });

  it('begins the name of each row’s action with the text that is shown, so that voice control finds it', () => {
    for (const locale of LOCALES) {
      const { customers, operator, people, team } = MESSAGES[locale];
      for (const [shown, name] of [
        [customers.endSessions, customers.endSessionsOf('ada')],
        [customers.resetFactor, customers.resetFactorOf('ada')],
        [operator.tokens.revoke, operator.tokens.revokeOf('ada')],
        [people.settings.endSession, people.settings.endSessionOf('ada')],
        [team.remove, team.removeOf('ada')],
        [team.revoke, team.revokeOf('ada')],
      ] as const)
        expect(name.slice(0, shown.length)).toBe(shown);
    }
  });

  it('has every phrase in every language', () => {
    const shape = (value: unknown, at = ''): string[] => {
      if (typeof value === 'string') return value.trim() === '' ? [`${at} is empty`] : [at];
      if (typeof value === 'function') return [`${at}()`];
      return Object.entries(value as object).flatMap(([name, each]) => shape(each, `${at}.${name}`));
    };
    for (const locale of LOCALES) expect(shape(MESSAGES[locale])).toEqual(shape(MESSAGES.en));
  });
});

describe('landing', () => {
  it('computes the saving against o1 from the price in force', async () => {
    const text = await (await new Browser().get('/')).text();
    for (const share of ['98.1%', '96.3%']) expect(text).toContain(share);
    expect(text).toContain('23 Oct 2026');
    expect(text).toContain('$2.19');
    expect(text).toContain('16:30–00:30 UTC');
  });
});

describe('keys', () => {
  it('creates a key with its limits and shows it once', async () => {
    const browser = new Browser();
    await browser.signUp();
    await browser.get('/start');
    const first = await (await browser.postAndFollow('/keys', NEW_KEY)).text();
    expect(first).toMatch(/sk-tg-[0-9A-Za-z]{46}/);
    expect(await (await browser.get('/keys')).text()).not.toMatch(/sk-tg-[0-9A-Za-z]{46}/);
    expect(await newestKey(browser)).toMatchObject({
      name: 'backend',
      cap_nano_usd: 12_500_000_000,
      cap_period: 'day',
      requests_per_minute: 60,
      tokens_per_minute: 90_000,
      concurrency: 5,
    });
  });

  it('escapes a name that contains markup', async () => {
    const browser = new Browser();
    await browser.signUp();
    const name = '"><img src=x onerror=alert(1)>';
    const page = await (await browser.postAndFollow('/keys', { ...NEW_KEY, name })).text();
    expect(page).not.toContain('<img');
    expect(page).toContain('&lt;img src=x onerror=alert(1)&gt;');
  });

  it.each([
    ['name', ''],
    ['name', 'a\u202Egpj.exe'],
    ['name', 'a\r\nb'],
    ['capUsd', '-5'],
    ['capUsd', '1e9'],
    ['capPeriod', 'year'],
    ['requestsPerMinute', '0'],
    ['tokensPerMinute', '0'],
    ['concurrency', '1.5'],
    ['expiryDays', '99999'],
  ])('rejects %s %j, keeps the other input, and creates no key', async (field, value) => {
    const browser = new Browser();
    await browser.signUp();
    const response = await browser.post('/keys', { ...NEW_KEY, concurrency: '7', [field]: value });
    expect(response.status).toBe(422);
    const text = await response.text();
    if (field !== 'concurrency') expect(text).toContain('value="7"');
    const { account_id } = await newestKey(browser);
    expect(await listKeys(db, String(account_id))).toHaveLength(1);
  });

  it('revokes a key after a confirmation', async () => {
    const browser = new Browser();
    await browser.signUp();
    const { id } = await newestKey(browser);
    expect((await browser.get(`/keys/${id}/revoke`)).status).toBe(200);
    const page = await (await browser.postAndFollow(`/keys/${id}/revoke`, {})).text();
    expect(page).toContain(MESSAGES.en.keys.revoked);
    expect(page).not.toContain(`/keys/${id}/revoke`);
    expect((await browser.post(`/keys/${id}/revoke`, {})).status).toBe(404);
  });

  it('does not know the key of another account', async () => {
    const owner = new Browser();
    await owner.signUp();
    const { id } = await newestKey(owner);
    const stranger = new Browser();
    await stranger.signUp();
    expect((await stranger.get(`/keys/${id}/revoke`)).status).toBe(404);
    expect((await stranger.post(`/keys/${id}/revoke`, {})).status).toBe(404);
    expect((await newestKey(owner)).revoked_at_ms).toBeNull();
  });

  it('does not show one account the secret of another', async () => {
    const owner = new Browser();
    await owner.signUp();
    const stranger = new Browser();
    await stranger.signUp();
    stranger.cookies.set('__Host-shown_once', owner.cookies.get('__Host-shown_once')!);
    expect(await (await stranger.get('/keys')).text()).not.toMatch(/sk-tg-[0-9A-Za-z]{46}/);
  });
});

describe('usage', () => {
  async function withUsage() {
    const browser = new Browser();
    await browser.signUpConfirmed();
    const key = await newestKey(browser);
    const nowMs = Date.now();
    const hourMs = Math.floor(nowMs / 3_600_000) * 3_600_000;
    const requestId = newId('req', nowMs);
    await bindings.DB.batch([
      bindings.DB.prepare(
        'INSERT INTO usage_hour VALUES (?, ?, ?, ?, 3, 1000, 2000, 5000, 400, 13085001, 410000)',
      ).bind(key.account_id, hourMs, key.id, 'deepseek-r1-0528'),
      bindings.DB.prepare(
        `INSERT INTO usage_event VALUES (?, ?, ?, 'deepseek-r1-0528', NULL, ?, ?, 'posted', 'finished', 1,
          30, 10, 100, 60, 'deepseek-r1-0528/standard/1', 231400, 0, 2, 450)`,
      ).bind(key.account_id, requestId, key.id, nowMs - 1_000, nowMs),
    ]);
    return { browser, key, requestId };
  }

  it('explains how to start while there is no usage', async () => {
    const browser = new Browser();
    await browser.signUpConfirmed();
    const text = await (await browser.get('/usage')).text();
    expect(text).toContain(MESSAGES.en.usage.empty);
    expect(text).toContain('href="/start"');
  });

  it('draws the chart, and under it the numbers to the nano-USD', async () => {
    const { browser } = await withUsage();
    for (const period of ['24h', '7d', '30d']) {
      const text = await (await browser.get(`/usage?period=${period}`)).text();
      expect(text).toContain('<figure role="img"');
      expect(text).toContain('var(--chart-reasoning)');
      expect(text).toContain('0.013085001');
      expect(text).not.toMatch(/<style|\sstyle=/);
    }
  });

  it('shows the arithmetic of a charge', async () => {
    const { browser, requestId } = await withUsage();
    const text = (await (await browser.get('/usage')).text()).replaceAll(/<[^>]+>/g, '');
    expect(text).toContain('cached 10 × 140 + uncached 20 × 550 + output 100 × 2,190 = 231,400 nano-USD');
    expect(text).toContain(requestId);
    expect(10 * 140 + 20 * 550 + 100 * 2_190).toBe(231_400);
  });

  it('shows what the cache saved, at the prices of the requests', async () => {
    const { browser } = await withUsage();
    expect(await (await browser.get('/usage')).text()).toContain(
      MESSAGES.en.usage.fromCache('33.3%', '$0.00041'),
    );
  });

  it('shows what was charged and claims nothing about other providers', async () => {
    const { browser } = await withUsage();
    const text = await (await browser.get('/usage')).text();
    expect(text).not.toContain('OpenAI');
  });

  it('gives the time of credit left on the billing page, in days up to a year', async () => {
    const { browser } = await withUsage();
    // $5 granted, 13,085,001 nano-USD in a week: 2,674 days, which nobody would believe
    expect(await (await browser.get('/billing')).text()).toContain('more than a year at this week’s pace');
  });

  it('can be downloaded as CSV, with names that no spreadsheet executes', async () => {
    const { browser, key } = await withUsage();
    await bindings.DB.prepare("UPDATE api_key SET name = '=1+1' WHERE id = ?").bind(key.id).run();
    const response = await browser.get('/usage/csv?period=7d');
    expect(response.headers.get('content-type')).toContain('text/csv');
    const [head, row] = (await response.text()).split('\r\n');
    expect(head).toContain('start,key_id,key,model,requests,');
    expect(row).toContain(`${key.id},"'=1+1",deepseek-r1-0528,3,1000,2000,5000,400,0.013085001,13085001`);
    const none = await (await browser.get('/usage/csv?model=deepseek-v3-0324')).text();
    expect(none.trim()).toBe(head);
  });

  it('filters by key and model, and leaves other accounts out', async () => {
    const { browser, key } = await withUsage();
    expect(await (await browser.get(`/usage?key=${key.id}`)).text()).toContain('0.013085001');
    expect(await (await browser.get('/usage?model=deepseek-v3-0324')).text()).not.toContain('0.013085001');
    const stranger = new Browser();
    await stranger.signUp();
    expect(await (await stranger.get(`/usage?key=${key.id}`)).text()).not.toContain('0.013085001');
  });

  it('ticks off the first request, in a frame that only our own pages may embed', async () => {
    const { browser } = await withUsage();
    const ticked = await browser.get('/start/first-request');
    expect(await ticked.text()).toContain('✓');
    expect(ticked.headers.get('content-security-policy')).toContain("frame-ancestors 'self'");
    const fresh = new Browser();
    await fresh.signUp();
    expect(await (await fresh.get('/start/first-request')).text()).toContain('http-equiv="refresh"');
  });

  it('draws every kind of token without an inline style', () => {
    const bar = { label: '14:00', cached: 1, uncached: 2, reasoning: 3, answer: 4 };
    const { kinds } = MESSAGES.fr.usage;
    const svg = tokenBars([bar], { kinds, shortCount: formats('fr').shortCount });
    for (const kind of KINDS) expect(svg).toContain(`var(--chart-${kind})`);
    expect(svg).not.toMatch(/style/);
  });
});

describe('billing', () => {
  it('shows the balance and the ledger that it is the sum of', async () => {
    const browser = new Browser();
    await browser.signUpConfirmed();
    const { account_id } = await newestKey(browser);
    const wallet = bindings.WALLET.getByName(String(account_id));
    await wallet.topUp({ orderId: 'order_test', amountNanoUsd: nanoUsd(1_234_567_890) });
    const text = await (await browser.get('/billing')).text();
    expect(text).toContain('1.23456789');
    expect(text).toContain('order_test');
    expect(text).toContain('6.23456789');
  });

  it.each([
    { amount: '20', otherUsd: '' },
    { amount: 'other', otherUsd: '33.50' },
  ])('sends a top-up of %j to the provider', async (fields) => {
    const browser = new Browser();
    await browser.signUp();
    const response = await browser.post('/billing', fields);
    expect(response.status).toBe(303);
    const order = await bindings.DB.prepare(
      'SELECT * FROM payment_order ORDER BY created_at_ms DESC',
    ).first();
    expect(order?.amount_nano_usd).toBe(fields.amount === '20' ? 20_000_000_000 : 33_500_000_000);
  });

  it.each(['', '0', '-20', '1000000', 'all'])('rejects a top-up of %j', async (otherUsd) => {
    const browser = new Browser();
    await browser.signUp();
    expect((await browser.post('/billing', { amount: 'other', otherUsd })).status).toBe(422);
  });
});

describe('operator pool', () => {
  it.each([
    ['GET', '/operator/pool'],
    ['POST', '/operator/pool'],
    ['POST', `/operator/nodes/${newId('node', 1)}/drain`],
    ['GET', `/operator/nodes/${newId('node', 1)}/remove`],
  ])('does not exist for a customer: %s %s', async (method, path) => {
    const browser = new Browser();
    await browser.signUp();
    const fields = { name: 'n1', modelId: 'deepseek-r1-0528', hardware: '8xmi300x' };
    const response = await (method === 'GET' ? browser.get(path) : browser.post(path, fields));
    expect(response.status).toBe(404);
    expect(
      (await (method === 'GET' ? new Browser().get(path) : new Browser().post(path, fields))).status,
    ).toBe(404);
  });

  it('creates a join token that is shown once', async () => {
    const browser = new Browser();
    const { email } = await browser.signUp();
    await makeOperator(email);
    const fields = { name: 'mi300x-1', modelId: 'deepseek-r1-0528', hardware: '8xmi300x' };
    const page = await (await browser.postAndFollow('/operator/pool', fields)).text();
    expect(page).toMatch(/--join eyJ[\w-]+\.[\w-]+\.[\w-]+/);
    expect(await (await browser.get('/operator/pool')).text()).not.toContain('--join eyJ');
    expect((await browser.post('/operator/pool', { ...fields, modelId: 'gpt-4' })).status).toBe(422);
  });

  it('shows a node’s last report, and how many streams its drain still waits for', async () => {
    const browser = new Browser();
    const { email } = await browser.signUp();
    await makeOperator(email);
    const node = {
      id: newId('node', Date.now()),
      name: 'h800-live',
      modelId: 'deepseek-r1-zero',
      hardware: '8xh800-pair',
      url: 'https://live.test',
      capacity: 100,
      state: 'draining',
      revision: 0,
    } as const;
    await bindings.DB.prepare(
      `INSERT INTO node (id, name, model_id, hardware, url, public_key, capacity, engine_version, weight_version, state, enrolled_at_ms)
       VALUES (?, ?, ?, ?, ?, ?, 100, '0.5.4', 'w', 'draining', 1)`,
    )
      .bind(node.id, node.name, node.modelId, node.hardware, node.url, node.id)
      .run();
    const load = {
      running_requests: 17,
      waiting_requests: 3,
      waiting_tokens: 0,
      used_tokens: 640,
      capacity_tokens: 1_000,
      max_running_requests: 64,
      max_queued_requests: null,
      generation_tokens_per_second: 1_234,
      cache_hit_rate: 0.563,
    };
    const report = { engineHealthy: true, draining: true, inFlight: 17, load };
    await bindings.POOL.getByName(node.modelId).heartbeat(node, report);
    const text = await (await browser.get('/operator/pool')).text();
    for (const shown of ['17 / 3', '64%', '56.3%', '1,234', 'draining: 17 streams finishing']) {
      expect(text).toContain(shown);
    }
  });

  it('drains and restores a node, and removes it only when its name is typed', async () => {
    const browser = new Browser();
    const { email } = await browser.signUp();
    await makeOperator(email);
    const id = newId('node', Date.now());
    await bindings.DB.prepare(
      `INSERT INTO node (id, name, model_id, hardware, url, public_key, capacity, engine_version, weight_version, enrolled_at_ms)
       VALUES (?, 'h800-7', 'deepseek-r1-0528', '8xh800-pair', 'https://n.test', ?, 100, '0.5', 'w', 1)`,
    )
      .bind(id, id)
      .run();
    const drained = await (await browser.postAndFollow(`/operator/nodes/${id}/drain`, {})).text();
    expect(drained).toContain(`/operator/nodes/${id}/restore`);
    await browser.post(`/operator/nodes/${id}/restore`, {});
    expect(await (await browser.get('/operator/pool')).text()).toContain(`/operator/nodes/${id}/drain`);
    expect((await browser.post(`/operator/nodes/${id}/remove`, { confirm: 'h800' })).status).toBe(422);
    expect((await browser.post(`/operator/nodes/${id}/remove`, { confirm: 'h800-7' })).status).toBe(303);
    expect(await (await browser.get('/operator/pool')).text()).not.toContain(`/operator/nodes/${id}/`);
  });
});
