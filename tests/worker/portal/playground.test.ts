/** The playground's page, and the tokens that it gives to its script. */
import { describe, expect, it } from 'vitest';
import { usd } from '../../../worker/domain/money.ts';
import { config } from '../../../worker/env.ts';
import type { PlaygroundData, PlaygroundToken } from '../../../worker/portal/playground/client/data.ts';
import { verifyClientToken } from '../../../worker/tokens/client-claims.ts';
import { Browser, bindings } from './browser.ts';

const KEY = {
  name: 'play',
  capUsd: '',
  capPeriod: 'month',
  requestsPerMinute: '60',
  tokensPerMinute: '',
  concurrency: '5',
  expiryDays: '',
};

async function customer() {
  const browser = new Browser();
  await browser.signUp();
  await browser.get('/start');
  return browser;
}

async function dataOf(browser: Browser): Promise<PlaygroundData> {
  const text = await (await browser.get('/playground')).text();
  const [, json = ''] = /<script id="playground-data" type="application\/json">(.*?)<\/script>/s.exec(text)!;
  return JSON.parse(json);
}

/** Creates a key. @returns the id of the newest key that the page offers */
async function offeredKey(browser: Browser, over: Partial<typeof KEY & { scope: string }> = {}) {
  await browser.postAndFollow('/keys', { ...KEY, ...over });
  return (await dataOf(browser)).keys[0]!.id;
}

async function claimsOf(response: Response) {
  expect(response.status).toBe(200);
  const { token, expiresAtMs } = (await response.json()) as PlaygroundToken;
  return { claims: await verifyClientToken(config(bindings), token, Date.now()), expiresAtMs };
}

describe('the page', () => {
  it('runs its own script and nothing inline, and its policy allows no more than it needs', async () => {
    const browser = await customer();
    const response = await browser.get('/playground');
    const policy = response.headers.get('content-security-policy')!;
    expect(policy).toContain("default-src 'none'");
    expect(policy).toContain("script-src 'self'");
    expect(policy).toContain("connect-src 'self'");
    expect(policy).toContain("frame-ancestors 'none'");
    expect(policy).not.toContain('unsafe');
    expect(response.headers.get('cache-control')).toBe('private, no-store');
    const text = await response.text();
    expect(text).toContain('<script type="module" src="/playground.js"></script>');
    expect(text).toMatch(/<noscript>.*href="\/start".*<\/noscript>/s);
    expect(text).not.toMatch(/sk-tg-|\sstyle=|\son\w+=/);
    for (const path of ['/keys', '/playground/token'])
      expect((await browser.get(path)).headers.get('content-security-policy')).not.toContain('script-src');
  });

  it('is for people who are signed in', async () => {
    const response = await new Browser().get('/playground');
    expect(response.headers.get('location')).toBe('/sign-in?next=%2Fplayground');
  });

  it('embeds the name of a key as data, whatever it contains', async () => {
    const browser = await customer();
    const name = '</script><img src=x onerror=alert(1)>';
    await offeredKey(browser, { name });
    expect(await (await browser.get('/playground')).text()).not.toContain('<img');
    expect((await dataOf(browser)).keys[0]!.name).toContain(name);
  });

  it('asks for a key when no key can be used', async () => {
    const browser = await customer();
    const { keys } = await dataOf(browser);
    for (const { id } of keys) await browser.post(`/keys/${id}/revoke`, {});
    await browser.postAndFollow('/keys', { ...KEY, scope: 'management' } as typeof KEY);
    const text = await (await browser.get('/playground')).text();
    expect(text).toContain('/keys#new');
    expect(text).not.toContain('<script');
  });
});

describe('a token for the page', () => {
  it('expires after a quarter of an hour and may spend a dollar', async () => {
    const browser = await customer();
    const keyId = await offeredKey(browser);
    const beforeMs = Date.now();
    const response = await browser.post('/playground/token', { keyId });
    expect(response.headers.get('cache-control')).toBe('private, no-store');
    const { claims, expiresAtMs } = await claimsOf(response);
    expect(claims).toMatchObject({ key: keyId, models: null, cap: usd(1), exp: expiresAtMs / 1_000 });
    expect(expiresAtMs).toBeGreaterThan(beforeMs + 899_000 - 1_000);
    expect(expiresAtMs).toBeLessThanOrEqual(Date.now() + 900_000);
  });

  it.each([
    ['0.25', 250_000_000],
    ['12.50', usd(1)],
    ['0', 1],
  ])('of a key capped at $%s may spend %i nano-USD', async (capUsd, cap) => {
    const browser = await customer();
    const keyId = await offeredKey(browser, { capUsd });
    const { claims } = await claimsOf(await browser.post('/playground/token', { keyId }));
    expect(claims).toMatchObject({ cap });
  });

  it('does not outlive its key', async () => {
    const browser = await customer();
    const keyId = await offeredKey(browser);
    const endsMs = Date.now() + 60_000;
    await bindings.DB.prepare('UPDATE api_key SET expires_at_ms = ? WHERE id = ?').bind(endsMs, keyId).run();
    const { expiresAtMs } = await claimsOf(await browser.post('/playground/token', { keyId }));
    expect(expiresAtMs).toBeLessThanOrEqual(endsMs);
  });

  it('is not minted for a key that is foreign, expired, revoked, for management, or unknown', async () => {
    const [browser, stranger] = [await customer(), await customer()];
    const own = await offeredKey(browser);
    expect((await stranger.post('/playground/token', { keyId: own })).status).toBe(404);
    const set = (column: string, value: unknown) =>
      bindings.DB.prepare(`UPDATE api_key SET ${column} = ? WHERE id = ?`).bind(value, own).run();
    const status = async (keyId = own) => (await browser.post('/playground/token', { keyId })).status;
    expect(await status()).toBe(200);
    await set('scope', 'management');
    expect(await status()).toBe(404);
    await set('scope', 'inference');
    await set('expires_at_ms', 1);
    expect(await status()).toBe(404);
    await set('expires_at_ms', null);
    await browser.post(`/keys/${own}/revoke`, {});
    expect(await status()).toBe(404);
    expect(await status("' OR 1=1")).toBe(404);
    expect((await browser.post('/playground/token', {})).status).toBe(404);
  });

  it('is minted only for people who are signed in, on our own page', async () => {
    const browser = await customer();
    const keyId = await offeredKey(browser);
    const stranger = await new Browser().post('/playground/token', { keyId });
    expect(stranger.status).toBe(303);
    expect(stranger.headers.get('location')).toBe('/sign-in');
    for (const origin of ['https://evil.example', 'null', null])
      expect((await browser.post('/playground/token', { keyId }, origin)).status).toBe(403);
  });
});
