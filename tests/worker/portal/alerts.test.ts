/** The page of limits and alerts, for the account's owner and for strangers. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { accountOfPerson } from '../../../worker/db/accounts.ts';
import { noticeSettingOf } from '../../../worker/db/notices.ts';
import { ENDPOINTS_MAX, listEndpoints } from '../../../worker/db/webhook-endpoints.ts';
import { usd } from '../../../worker/domain/money.ts';
import type { Task } from '../../../worker/domain/task.ts';
import { MESSAGES } from '../../../worker/i18n/locale.ts';
import { raiseNotice } from '../../../worker/notifications/raise.ts';
import { endpointSecret } from '../../../worker/notifications/webhook/endpoint-secret.ts';
import { db, LOW_BALANCE, logOf, TaskHarness, WITHOUT_MAIL } from '../notifications/fixtures.ts';
import { received, respond } from '../notifications/receiver.ts';
import { Browser, bindings } from './browser.ts';

const URL_1 = 'https://hooks.example.com/tollgate';
const SECRET = /whsec_[A-Za-z0-9+/]{43}=/;

/** The tasks that pages sent to the queue, except e-mails to newcomers. */
let sent: Task[] = [];

beforeEach(() => {
  sent = [];
  vi.spyOn(bindings.TASKS, 'send').mockImplementation(async (task) => {
    if (task.kind !== 'letter') sent.push(task);
    return {} as never;
  });
});
afterEach(() => vi.restoreAllMocks());

async function owner(language = 'en') {
  const browser = new Browser(language);
  const { email } = await browser.signUpConfirmed();
  const person = await bindings.DB.prepare('SELECT id FROM person WHERE email = ?').bind(email).first('id');
  return { browser, email, accountId: (await accountOfPerson(db, String(person)))! };
}

const read = async (response: Response | Promise<Response>) => (await response).text();

async function withEndpoint() {
  const customer = await owner();
  const page = await read(customer.browser.postAndFollow('/alerts/endpoints', { url: URL_1 }));
  const [endpoint] = await listEndpoints(db, customer.accountId);
  return { ...customer, page, endpoint: endpoint! };
}

it('a person whose address is not confirmed is told that they get no e-mail', async () => {
  const browser = new Browser();
  const { email } = await browser.signUp();
  expect(await read(browser.get('/alerts'))).toContain(MESSAGES.en.alerts.byEmailUnconfirmed);
  await bindings.DB.prepare('UPDATE person SET email_verified = 1 WHERE email = ?').bind(email).run();
  expect(await read(browser.get('/alerts'))).not.toContain(MESSAGES.en.alerts.byEmailUnconfirmed);
});

describe('the usage of limits', () => {
  it('is shown in words for the account and each active key', async () => {
    const { browser } = await owner();
    const fields = { name: 'capped', capUsd: '5', capPeriod: 'month', requestsPerMinute: '60' };
    await browser.post('/keys', { ...fields, tokensPerMinute: '90000', concurrency: '7', expiryDays: '' });
    const page = await read(browser.get('/alerts'));
    for (const text of ['Whole account', 'First key', 'capped', '0 of 60 (0%)', '0 of 90,000', '0 of 7'])
      expect(page).toContain(text);
    expect(page).toMatch(/\$0\.00 of \$5\.00 \(0%\)/);
    expect(page).toMatch(/monthly, resets 1 \w+ 20\d\d, 00:00 UTC/);
    expect(page).toContain('0, no limit');
    expect(page).toContain('no cap');
  });

  it('is shown as unknown when the Wallet does not reply', async () => {
    const { browser } = await owner();
    vi.spyOn(console, 'error').mockImplementation(() => undefined);
    vi.spyOn(bindings.WALLET, 'getByName').mockImplementation(() => {
      throw new Error('overloaded');
    });
    const response = await browser.get('/alerts');
    expect(response.status).toBe(200);
    expect(await response.text()).toContain('unavailable right now');
  });
});

describe('the account’s cap', () => {
  it('is saved with its period, and shown', async () => {
    const { browser, accountId } = await owner();
    const page = await read(browser.postAndFollow('/alerts/cap', { capUsd: '12.5', capPeriod: 'day' }));
    expect(page).toContain('value="12.50"');
    expect(page).toContain('$0.00 of $12.50');
    const row = await bindings.DB.prepare('SELECT cap_nano_usd, cap_period FROM account WHERE id = ?');
    expect(await row.bind(accountId).first()).toEqual({ cap_nano_usd: 12_500_000_000, cap_period: 'day' });
    await browser.post('/alerts/cap', { capUsd: '', capPeriod: 'month' });
    expect(await row.bind(accountId).first()).toEqual({ cap_nano_usd: null, cap_period: 'month' });
  });

  it('is rejected when it is invalid, and the input is kept', async () => {
    const { browser } = await owner();
    const response = await browser.post('/alerts/cap', { capUsd: '-5', capPeriod: 'day' });
    expect(response.status).toBe(422);
    const page = await response.text();
    expect(page).toContain('value="-5"');
    expect(page).toContain('id="capUsd-fault"');
    expect(page).toContain('name="back" value="/alerts"');
  });
});

describe('the alerts', () => {
  it('are the Wallet’s defaults until they are changed', async () => {
    const { browser, accountId } = await owner();
    const page = await read(browser.get('/alerts'));
    expect(page).toContain('name="lowBalanceUsd" type="text" value="1.00"');
    expect(page.match(/type="checkbox" name="percent\d+" checked/g)).toHaveLength(4);
    expect(await noticeSettingOf(db, accountId)).toMatchObject({ byEmail: true });
  });

  it('are saved, and sent to the Wallet', async () => {
    const { browser, accountId } = await owner();
    const stub = bindings.WALLET.getByName(accountId);
    const setAlertThresholds = vi.fn(async () => undefined);
    vi.spyOn(bindings.WALLET, 'getByName').mockReturnValue(
      new Proxy(stub, {
        get: (to, name) => (name === 'setAlertThresholds' ? setAlertThresholds : Reflect.get(to, name)),
      }),
    );
    const chosen = { lowBalanceUsd: '3.5', percent75: 'on', percent100: 'on' };
    const page = await read(browser.postAndFollow('/alerts/watch', chosen));
    const saved = { lowBalanceNanoUsd: 3_500_000_000, capPercents: [75, 100] };
    expect(await noticeSettingOf(db, accountId)).toMatchObject({ ...saved, byEmail: false });
    expect(setAlertThresholds).toHaveBeenCalledWith(saved);
    expect(page.match(/name="percent\d+" checked/g)).toHaveLength(2);
    expect(page).not.toMatch(/name="byEmail" checked/);
    await browser.post('/alerts/watch', { lowBalanceUsd: '', byEmail: 'on' });
    const none = { lowBalanceNanoUsd: null, capPercents: [], byEmail: true };
    expect(await noticeSettingOf(db, accountId)).toMatchObject(none);
  });

  it('accept only percentages that are offered', async () => {
    const { browser, accountId } = await owner();
    await browser.post('/alerts/watch', { lowBalanceUsd: '', percent50: 'on', percent1: 'on' });
    expect((await noticeSettingOf(db, accountId)).capPercents).toEqual([50]);
  });
});

describe('a webhook endpoint', () => {
  it('shows its secret once, and the secret is not stored', async () => {
    const { browser, page, endpoint } = await withEndpoint();
    expect(SECRET.exec(page)?.[0]).toBe(await endpointSecret(bindings, endpoint));
    expect(await read(browser.get('/alerts'))).not.toMatch(SECRET);
    expect(JSON.stringify(endpoint)).not.toContain('whsec_');
  });

  it.each([
    ['http://example.com/', 'https'],
    ['https://10.0.0.1/', 'public internet'],
    ['https://example.com:25/', 'ports'],
    ['https://a:b@example.com/', 'password'],
    ['nonsense', 'full URL'],
    ['', 'required'],
  ])('is rejected at %s', async (url, fault) => {
    const { browser, accountId } = await owner();
    const response = await browser.post('/alerts/endpoints', { url });
    expect(response.status).toBe(422);
    expect(await response.text()).toContain(fault);
    expect(await listEndpoints(db, accountId)).toEqual([]);
  });

  it('is one of five at most, even when added concurrently', async () => {
    const { browser, accountId } = await owner();
    const urls = Array.from({ length: ENDPOINTS_MAX + 3 }, (_, i) => `https://hooks.example.com/${i}`);
    await Promise.all(urls.map((url) => browser.post('/alerts/endpoints', { url })));
    expect(await listEndpoints(db, accountId)).toHaveLength(ENDPOINTS_MAX);
    expect(await read(browser.get('/alerts'))).toContain('up to 5 endpoints');
  });

  it('gets a new secret by rotation', async () => {
    const { browser, page, endpoint } = await withEndpoint();
    const after = await read(browser.postAndFollow(`/alerts/endpoints/${endpoint.id}/rotate`, {}));
    expect(SECRET.exec(after)?.[0]).toMatch(SECRET);
    expect(SECRET.exec(after)?.[0]).not.toBe(SECRET.exec(page)?.[0]);
  });

  it('is sent a test, only one for a double click, and no other endpoint is', async () => {
    const { browser, accountId, endpoint } = await withEndpoint();
    await browser.post('/alerts/endpoints', { url: `${URL_1}/2` });
    vi.spyOn(Date, 'now').mockReturnValue(1_790_000_000_000);
    const path = `/alerts/endpoints/${endpoint.id}/test`;
    await Promise.all([browser.post(path, {}), browser.post(path, {})]);
    expect(new Set(sent.map((task) => JSON.stringify(task))).size).toBe(1);
    const harness = new TaskHarness();
    await harness.consume(sent);
    expect(received.map(({ url }) => url)).toEqual([URL_1]);
    expect(JSON.parse(new TextDecoder().decode(received[0]!.body)).type).toBe('endpoint.test');
    expect(await logOf(accountId)).toMatchObject([{ target: endpoint.id, state: 'delivered' }]);
    expect(harness.emails).toEqual([]);
  });

  it('no longer exists after its removal, and its URL can be added again', async () => {
    const { browser, accountId, endpoint } = await withEndpoint();
    const path = `/alerts/endpoints/${endpoint.id}`;
    expect(await read(browser.postAndFollow(`${path}/remove`, {}))).toContain('No endpoints yet');
    for (const action of ['remove', 'rotate', 'test'])
      expect((await browser.post(`${path}/${action}`, {})).status).toBe(404);
    await browser.post('/alerts/endpoints', { url: URL_1 });
    expect(await listEndpoints(db, accountId)).toHaveLength(1);
  });
});

describe('the delivery log', () => {
  it('shows each delivery with its target, state and fault, and sends a failed one again', async () => {
    const { browser, accountId, email, endpoint } = await withEndpoint();
    respond(503);
    const harness = new TaskHarness(WITHOUT_MAIL);
    await raiseNotice(harness.env, { accountId, cause: 'low', notice: LOW_BALANCE, nowMs: Date.now() });
    await harness.drain();
    const page = await read(browser.get('/alerts'));
    for (const text of [
      'The balance is $1.00, below $2.00.',
      email,
      URL_1,
      'e-mail is not configured',
      '503: error response',
      'pending',
      'failed',
    ])
      expect(page).toContain(text);
    const failed = (await logOf(accountId)).find(({ state }) => state === 'failed')!;
    const waiting = (await logOf(accountId)).find(({ state }) => state === 'waiting')!;
    expect(waiting.target).toBe(endpoint.id);
    // a delivery under way is not started again, nor is a failed one started twice by a double click
    for (const { id } of [waiting, failed, failed])
      await browser.postAndFollow(`/alerts/deliveries/${id}/again`, {});
    expect(sent).toEqual([{ kind: 'deliver', deliveryId: failed.id }]);
    const working = new TaskHarness();
    await working.consume(sent);
    expect(working.emails.map(({ to }) => to)).toEqual([email]);
    expect((await logOf(accountId)).find(({ id }) => id === failed.id)).toMatchObject({
      state: 'delivered',
      attempts: 2,
    });
  });

  it('is in French for a French browser', async () => {
    const { browser, accountId } = await owner('fr');
    const harness = new TaskHarness(WITHOUT_MAIL);
    const notice = { kind: 'recharge.paid', orderId: 'order_1', amountNanoUsd: usd(20) } as const;
    await raiseNotice(harness.env, { accountId, cause: 'paid', notice, nowMs: Date.now() });
    await harness.drain();
    const page = await read(browser.get('/alerts'));
    for (const text of ['Limites et alertes', 'e-mail non configuré', 'échouée', 'Renvoyer'])
      expect(page).toContain(text);
  });
});

it('stays small with as much on it as there can be', async () => {
  const { browser, accountId } = await owner();
  const fields = {
    capUsd: '5',
    capPeriod: 'month',
    requestsPerMinute: '60',
    concurrency: '7',
    expiryDays: '',
  };
  const harness = new TaskHarness(WITHOUT_MAIL);
  for (let i = 0; i < ENDPOINTS_MAX; i++) await harness.endpoint(accountId);
  for (let i = 0; i < 25; i++) {
    await browser.post('/keys', { ...fields, name: crypto.randomUUID(), tokensPerMinute: '90000' });
    if (i % 5 === 0)
      await raiseNotice(harness.env, { accountId, cause: `${i}`, notice: LOW_BALANCE, nowMs: Date.now() });
  }
  respond(500);
  await harness.drain();
  const page = await read(browser.get('/alerts'));
  expect(page.match(/<tr/g)).toHaveLength(1 + 26 + 1 + 25);
  const zipped = new Response(page).body!.pipeThrough(new CompressionStream('gzip'));
  expect((await new Response(zipped).arrayBuffer()).byteLength).toBeLessThanOrEqual(15 * 1_024);
});

describe('a stranger', () => {
  it('cannot reach an endpoint or delivery of another account', async () => {
    const { accountId, endpoint } = await withEndpoint();
    const harness = new TaskHarness(WITHOUT_MAIL);
    await raiseNotice(harness.env, { accountId, cause: 'low', notice: LOW_BALANCE, nowMs: Date.now() });
    await harness.drain();
    const failed = (await logOf(accountId)).find(({ state }) => state === 'failed')!;
    const { browser } = await owner();
    const paths = [
      ...['rotate', 'remove', 'test'].map((action) => `/alerts/endpoints/${endpoint.id}/${action}`),
      `/alerts/deliveries/${failed.id}/again`,
      '/alerts/endpoints/hook_1/remove',
      "/alerts/deliveries/' OR 1=1 --/again",
    ];
    for (const path of paths) expect((await browser.post(path, {})).status, path).toBe(404);
    expect(await read(browser.get('/alerts'))).not.toContain(URL_1);
    expect(await listEndpoints(db, accountId)).toEqual([endpoint]);
    expect((await logOf(accountId)).find(({ id }) => id === failed.id)!.state).toBe('failed');
    expect(sent).toEqual([]);
  });

  it('is sent to sign in, and forms of other sites are rejected', async () => {
    expect((await new Browser().get('/alerts')).headers.get('location')).toBe('/sign-in?next=%2Falerts');
    const { browser } = await owner();
    for (const path of ['/alerts/cap', '/alerts/watch', '/alerts/endpoints'])
      expect((await browser.post(path, {}, 'https://evil.example')).status).toBe(403);
  });
});
