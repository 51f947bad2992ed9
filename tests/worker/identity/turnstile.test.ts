/** Turnstile on the sign-up: demanded where its keys are set, checked at Cloudflare, and the page's policy allows it. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { config } from '../../../worker/env.ts';
import { MESSAGES } from '../../../worker/i18n/locale.ts';
import { TaskHarness } from '../notifications/fixtures.ts';
import { Browser, bindings, newEmail, PASSWORD } from '../portal/browser.ts';
import { FakeSiteverify, SECRET_KEY, SITE_KEY } from './siteverify-fake.ts';

const { faults } = MESSAGES.en;
const KEYS = { TURNSTILE_SITE_KEY: SITE_KEY, TURNSTILE_SECRET_KEY: SECRET_KEY };

let cloudflare: FakeSiteverify;
beforeEach(() => {
  cloudflare = new FakeSiteverify();
  vi.stubGlobal('fetch', cloudflare.fetch);
});
afterEach(() => {
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

const newBrowser = (over: Record<string, string> = {}) =>
  new Browser('en', new TaskHarness({ ...KEYS, ENVIRONMENT: 'production', ...over }).env);

/** Sends the sign-up form. @returns the status, and the page's text where there is one */
async function signUp(token: string | null, browser = newBrowser(), email = newEmail()) {
  const fields = { name: 'Ada', email, password: PASSWORD };
  const response = await browser.post(
    '/sign-up',
    token === null ? fields : { ...fields, 'cf-turnstile-response': token },
  );
  return { status: response.status, text: await response.text(), email };
}

const exists = async (email: string) =>
  (await bindings.DB.prepare('SELECT 1 FROM person WHERE email = ?').bind(email).first()) !== null;

describe('with its keys set', () => {
  it('the form has the widget, and the page’s policy allows its script and frame and no other', async () => {
    const response = await newBrowser().get('/sign-up');
    const text = await response.text();
    expect(text).toContain('<script src="https://challenges.cloudflare.com/turnstile/v0/api.js"');
    expect(text).toContain(`data-sitekey="${SITE_KEY}" data-action="sign_up"`);
    const policy = response.headers.get('content-security-policy')!;
    expect(policy).toContain('script-src https://challenges.cloudflare.com;');
    expect(policy).toContain("frame-src 'self' https://challenges.cloudflare.com;");
    const signIn = (await newBrowser().get('/sign-in')).headers.get('content-security-policy');
    expect(signIn).not.toContain('script-src');
  });

  it('a token lets one person sign up, once, and Cloudflare is told the client’s address', async () => {
    const browser = newBrowser();
    const token = cloudflare.token();
    expect(await signUp(token, browser)).toMatchObject({ status: 303 });
    expect(cloudflare.asked[0]!.get('remoteip')).toBe(browser.address);
    const again = await signUp(token);
    expect([again.status, again.text]).toEqual([422, expect.stringContaining(faults.turnstile_refused)]);
    expect(await exists(again.email)).toBe(false);
  });

  it('a form without a token is refused without asking Cloudflare', async () => {
    for (const token of [null, '']) {
      const { status, text, email } = await signUp(token);
      expect([status, text]).toEqual([422, expect.stringContaining(faults.turnstile_missing)]);
      expect(await exists(email)).toBe(false);
    }
    expect(cloudflare.asked).toEqual([]);
  });

  it('a token longer than Cloudflare’s are is refused without asking it', async () => {
    const { status, text } = await signUp(`0.${'x'.repeat(3_000)}`);
    expect([status, text]).toEqual([422, expect.stringContaining(faults.turnstile_refused)]);
    expect(cloudflare.asked).toEqual([]);
  });

  it.each([
    ['forged', () => 'forged'],
    ['expired', () => '0.expired'],
    ['of another site', () => cloudflare.token({ hostname: 'evil.example' })],
    ['of another form', () => cloudflare.token({ action: 'contact' })],
  ])('a token that is %s is refused', async (_, token) => {
    const { status, text, email } = await signUp(token());
    expect([status, text]).toEqual([422, expect.stringContaining(faults.turnstile_refused)]);
    expect(await exists(email)).toBe(false);
  });

  it.each(['reset', 'html', 'hangs'] as const)('nobody signs up while the check fails: %s', async (fault) => {
    const log = vi.spyOn(console, 'error').mockImplementation(() => {});
    cloudflare.fault = fault;
    const { status, text, email } = await signUp(cloudflare.token());
    expect([status, text]).toEqual([422, expect.stringContaining(faults.turnstile_unavailable)]);
    expect(await exists(email)).toBe(false);
    expect(String(log.mock.calls)).toContain('turnstile_failed');
  });

  it('a wrong secret key is the installation’s fault, and logged', async () => {
    const log = vi.spyOn(console, 'error').mockImplementation(() => {});
    const browser = newBrowser({ TURNSTILE_SECRET_KEY: 'another-secret-key-0123' });
    expect((await signUp(cloudflare.token(), browser)).text).toContain(faults.turnstile_unavailable);
    expect(String(log.mock.calls)).toContain('invalid-input-secret');
    expect(String(log.mock.calls)).not.toContain('another-secret');
  });
});

it('is absent without its keys, and needs both', async () => {
  const browser = new Browser();
  expect(await (await browser.get('/sign-up')).text()).not.toContain('cloudflare');
  expect((await signUp(null, browser)).status).toBe(303);
  expect(() => config({ ...bindings, TURNSTILE_SITE_KEY: SITE_KEY })).toThrow(
    'TURNSTILE_SECRET_KEY is not set',
  );
  expect(() => config({ ...bindings, TURNSTILE_SECRET_KEY: SECRET_KEY })).toThrow(
    'TURNSTILE_SITE_KEY is not set',
  );
});
