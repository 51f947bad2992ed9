/** Closing an account: it takes the person's own proof, and leaves no name and no address behind. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { eraseAccount } from '../../../worker/db/erase-account.ts';
import { newId } from '../../../worker/domain/ids.ts';
import { RATE_RULES } from '../../../worker/domain/rate-limit.ts';
import { prune } from '../../../worker/retention/prune.ts';
import { totpFromPage } from '../identity/authenticator.ts';
import { db, TaskHarness } from '../notifications/fixtures.ts';
import { Browser, bindings, newEmail, PASSWORD } from './browser.ts';

let harness: TaskHarness;
beforeEach(() => {
  harness = new TaskHarness();
});
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

const run = (sql: string, ...values: unknown[]) =>
  bindings.DB.prepare(sql)
    .bind(...values)
    .run();
const first = <T>(sql: string, ...values: unknown[]) =>
  bindings.DB.prepare(sql)
    .bind(...values)
    .first<T>();

async function owner(name = 'Ada', email = newEmail()) {
  const browser = new Browser('en', harness.env);
  await browser.signUp(name, email);
  await browser.get('/team');
  const row = await first<{ account_id: string; person_id: string }>(
    'SELECT m.* FROM member AS m JOIN person AS p ON p.id = m.person_id WHERE p.email = ?',
    email,
  );
  return { browser, email, accountId: row!.account_id, personId: row!.person_id };
}

type Owner = Awaited<ReturnType<typeof owner>>;

const close = ({ browser, email }: Owner, fields: Record<string, string> = {}) =>
  browser.post('/account/close', { email, password: PASSWORD, ...fields });
const isClosed = async ({ accountId }: Owner) =>
  (await first<{ at: number | null }>('SELECT closed_at_ms AS at FROM account WHERE id = ?', accountId))!
    .at !== null;

describe('the proof', () => {
  it.each([
    ['no password', { password: '' }],
    ['a wrong password', { password: 'wrong horse battery' }],
    ['another address', { email: 'somebody@example.com' }],
  ])('%s closes nothing', async (_, fields) => {
    const ada = await owner();
    const refused = await close(ada, fields);
    expect(refused.status).toBe(422);
    expect(await refused.text()).toContain(`value="${'email' in fields ? fields.email : ada.email}"`);
    expect(await isClosed(ada)).toBe(false);
    const closed = await close(ada);
    expect(closed.headers.get('location')).toBe('/account/closed');
    expect(closed.headers.get('clear-site-data')).toBe('"cache", "storage"');
    expect(await isClosed(ada)).toBe(true);
  });

  it('cannot be guessed: after some tries even the right password has to wait', async () => {
    const ada = await owner();
    for (let i = 0; i < RATE_RULES.reauthenticate_session.count; i++)
      expect((await close(ada, { password: `wrong horse ${i}` })).status).toBe(422);
    expect((await close(ada)).status).toBe(429);
    expect(await isClosed(ada)).toBe(false);
  });

  it('includes the code of a second factor that is on', async () => {
    const ada = await owner();
    const page = await ada.browser.postAndFollow('/settings/second-factor', { password: PASSWORD });
    const code = totpFromPage(await page.text());
    await ada.browser.post('/settings/second-factor/confirm', { code: await code() });
    expect(await (await ada.browser.get('/account/close')).text()).toContain('name="code"');
    expect((await close(ada)).status).toBe(422);
    expect((await close(ada, { code: '000000' })).status).toBe(422);
    expect(await isClosed(ada)).toBe(false);
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 60_000 });
    expect((await close(ada, { code: await code(1) })).status).toBe(303);
    expect(await isClosed(ada)).toBe(true);
  });

  it('is a fresh sign-in for a person without a password', async () => {
    const ada = await owner();
    await run('UPDATE person_credential SET password = NULL WHERE person_id = ?', ada.personId);
    const signedInMs = (ms: number) =>
      run('UPDATE person_session SET created_at = ? WHERE person_id = ?', Date.now() - ms, ada.personId);
    await signedInMs(11 * 60_000);
    expect(await (await ada.browser.get('/account/close')).text()).toContain('/account/close/sign-in');
    expect((await close(ada)).status).toBe(422);
    expect(await isClosed(ada)).toBe(false);
    await signedInMs(9 * 60_000);
    expect((await close(ada)).status).toBe(303);
    expect(await isClosed(ada)).toBe(true);
  });

  it('by a new sign-in begins with the end of the session', async () => {
    const ada = await owner();
    const response = await ada.browser.post('/account/close/sign-in', {});
    expect(response.headers.get('location')).toBe('/sign-in?next=/account/close');
    expect((await ada.browser.get('/settings')).status).toBe(303);
  });
});

/** A word that is in every name and address of the account, and nowhere else. */
const PLANTED = 'zanzibarite';
/** What is kept as it was issued, as /privacy says. */
const KEPT = new Set(['invoice']);

/** Every row of every table in which the word occurs. */
async function rowsWith(word: string): Promise<string[]> {
  const { results: tables } = await bindings.DB.prepare(
    "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name NOT LIKE '_cf_%' AND name NOT LIKE 'd1_%'",
  ).all<{ name: string }>();
  const found: string[] = [];
  for (const { name } of tables) {
    const { results } = await bindings.DB.prepare(`SELECT * FROM "${name}"`).all();
    for (const row of results) {
      const text = JSON.stringify(row);
      if (text.toLowerCase().includes(word) && !KEPT.has(name)) found.push(`${name}: ${text}`);
    }
  }
  return found;
}

/** An account that has the word wherever a person, a form or the API can put it. */
async function plantedAccount(): Promise<Owner> {
  const ada = await owner(`Ada ${PLANTED}`, `ada-${PLANTED}@example.com`);
  const { browser, accountId, personId } = ada;
  // invitations are for people whose own address is confirmed
  await run('UPDATE person SET email_verified = 1 WHERE id = ?', personId);
  await browser.post('/account/name', { accountName: `${PLANTED} Ltd` });
  await browser.post('/team', { email: `bob-${PLANTED}@example.com`, role: 'developer' });
  await browser.post('/keys', {
    name: `key of ${PLANTED}`,
    capUsd: '1',
    capPeriod: 'day',
    requestsPerMinute: '60',
    tokensPerMinute: '',
    concurrency: '5',
    expiryDays: '30',
  });
  await browser.post('/billing/details', {
    legalName: `${PLANTED} GmbH`,
    street: `${PLANTED} street 1`,
    city: `12345 ${PLANTED}`,
    country: 'DE',
    taxId: '',
  });
  await browser.post('/aliases', { name: PLANTED, model: 'deepseek-v3-0324' });
  const endpoint = await harness.endpoint(accountId, `https://${PLANTED}.example.com/hook`);
  await run(
    'INSERT INTO webhook_secret (endpoint_id, version, sealed, created_at_ms) VALUES (?, 9, ?, 1)',
    endpoint.id,
    PLANTED,
  );
  const [note, file] = [newId('note', 1), newId('file', 1)];
  await run(
    "INSERT INTO notice (id, account_id, at_ms, kind, facts) VALUES (?, ?, ?, 'balance.low', ?)",
    note,
    accountId,
    Date.now(),
    JSON.stringify({ word: PLANTED }),
  );
  for (const [channel, target] of [
    ['email', ada.email],
    ['webhook', endpoint.id],
  ])
    await run(
      'INSERT INTO notice_delivery (id, notice_id, account_id, channel, target, last_fault) VALUES (?, ?, ?, ?, ?, ?)',
      newId('dlv', 1),
      note,
      accountId,
      channel,
      target,
      PLANTED,
    );
  await run(
    "INSERT INTO file (id, account_id, name, purpose, bytes, parts, created_at_ms, expires_at_ms) VALUES (?, ?, ?, 'batch', 1, 1, 1, ?)",
    file,
    accountId,
    `${PLANTED}.jsonl`,
    Date.now() + 1e9,
  );
  const key = await first<{ id: string }>('SELECT id FROM api_key WHERE account_id = ?', accountId);
  await run(
    "INSERT INTO batch (id, account_id, key_id, endpoint, input_file_id, state, metadata, created_at_ms, expires_at_ms) VALUES (?, ?, ?, '/v1/chat/completions', ?, 'completed', ?, 1, 2)",
    newId('batch', 1),
    accountId,
    key!.id,
    file,
    JSON.stringify({ customer: PLANTED }),
  );
  await run(
    "INSERT INTO auto_recharge (account_id, provider, customer_ref, method_label, updated_at_ms) VALUES (?, 'sandbox', 'cus_1', ?, 1)",
    accountId,
    `Visa of ${PLANTED}`,
  );
  await run(
    "INSERT INTO person_verification (id, identifier, value, expires_at, created_at, updated_at) VALUES (?, 'x', ?, ?, 1, 1)",
    newId('inv', 1),
    JSON.stringify({ email: ada.email }),
    Date.now() + 1e9,
  );
  await run(
    "INSERT INTO audit (id, at_ms, actor, action, subject, detail) VALUES (?, 1, 'operator-token', 'person.operator', ?, ?)",
    newId('audit', 1),
    personId,
    JSON.stringify({ email: ada.email }),
  );
  await run(
    'INSERT INTO payment_order (id, account_id, provider, amount_nano_usd, currency, state, created_at_ms) VALUES (?, ?, ?, 1, ?, ?, 1)',
    `ord_${PLANTED.length}`,
    accountId,
    'sandbox',
    'usd',
    'paid',
  );
  await run(
    'INSERT INTO invoice (number, order_id, account_id, issued_at_ms, amount_nano_usd, buyer) VALUES (900001, ?, ?, 1, 1, ?)',
    `ord_${PLANTED.length}`,
    accountId,
    JSON.stringify({ legalName: `${PLANTED} GmbH` }),
  );
  return ada;
}

describe('after the closing', () => {
  it('no table and no log holds a name or an address of the account, except its invoices', async () => {
    const logs: unknown[] = [];
    for (const level of ['log', 'info', 'warn', 'error'] as const)
      vi.spyOn(console, level).mockImplementation((...parts) => void logs.push(...parts));
    const ada = await plantedAccount();
    await harness.drain();
    const before = new Set((await rowsWith(PLANTED)).map((row) => row.split(':')[0]));
    for (const table of [
      'person',
      'account',
      'invitation',
      'api_key',
      'billing_details',
      'model_alias',
      'webhook_endpoint',
      'notice_delivery',
      'audit',
      'file',
      'batch',
      'auto_recharge',
      'webhook_secret',
      'person_verification',
    ])
      expect(before).toContain(table);
    expect((await close(ada)).status).toBe(303);
    await harness.drain();
    expect(await rowsWith(PLANTED)).toEqual([]);
    expect(JSON.stringify(logs).toLowerCase()).not.toContain(PLANTED);
    const invoice = await first<{ buyer: string }>(
      'SELECT buyer FROM invoice WHERE account_id = ?',
      ada.accountId,
    );
    expect(invoice!.buyer).toContain(PLANTED);
    const audit = await bindings.DB.prepare('SELECT action, actor FROM audit WHERE account_id = ?')
      .bind(ada.accountId)
      .all();
    expect(audit.results).toContainEqual({ action: 'account.closed', actor: ada.personId });
  });

  it('a link of a stranger whose address contains the closed one stays open', async () => {
    const ada = await owner();
    const link = (id: string, value: string) =>
      run(
        "INSERT INTO person_verification (id, identifier, value, expires_at, created_at, updated_at) VALUES (?, 'x', ?, ?, 1, 1)",
        id,
        value,
        Date.now() + 60_000,
      );
    const [own, stranger] = [newId('inv', 1), newId('inv', 2)];
    await link(own, JSON.stringify({ email: ada.email }));
    await link(stranger, JSON.stringify({ email: `not-${ada.email}` }));
    expect((await close(ada)).status).toBe(303);
    expect(await first('SELECT 1 FROM person_verification WHERE id = ?', own)).toBeNull();
    expect(await first('SELECT 1 FROM person_verification WHERE id = ?', stranger)).not.toBeNull();
  });

  it('its files are deleted, and its people sign in no more', async () => {
    const ada = await owner();
    const other = new Browser('en', harness.env);
    expect((await other.post('/sign-in', { email: ada.email, password: PASSWORD })).status).toBe(303);
    await close(ada);
    await prune(bindings, Date.now());
    expect(await first('SELECT 1 FROM file WHERE account_id = ?', ada.accountId)).toBeNull();
    expect((await other.get('/settings')).status).toBe(303);
    expect((await other.post('/sign-in', { email: ada.email, password: PASSWORD })).status).toBe(422);
  });

  it('a member of another account stays who they are, there', async () => {
    const ada = await owner();
    const bob = await owner('Bob');
    await run(
      "INSERT INTO member (account_id, person_id, role) VALUES (?, ?, 'developer')",
      ada.accountId,
      bob.personId,
    );
    await close(ada);
    expect(await first('SELECT name, email FROM person WHERE id = ?', bob.personId)).toEqual({
      name: 'Bob',
      email: bob.email,
    });
    expect((await bob.browser.get('/team')).status).toBe(200);
    expect(await first('SELECT 1 FROM member WHERE account_id = ?', ada.accountId)).toBeNull();
  });

  it('stays closed: a person who stayed for another account, and has left it, gets a new one', async () => {
    const [ada, bob] = [await owner(), await owner('Bob')];
    const { personId, browser } = ada;
    await run(
      "INSERT INTO member (account_id, person_id, role) VALUES (?, ?, 'developer')",
      bob.accountId,
      personId,
    );
    expect((await close(ada)).status).toBe(303);
    expect((await browser.post('/sign-in', { email: ada.email, password: PASSWORD })).status).toBe(303);
    await run('DELETE FROM member WHERE account_id = ? AND person_id = ?', bob.accountId, personId);
    expect((await browser.get('/team')).status).toBe(200);
    const own = await first<{ account_id: string }>(
      'SELECT account_id FROM member WHERE person_id = ?',
      personId,
    );
    expect(own!.account_id).not.toBe(ada.accountId);
    expect(await isClosed({ ...ada, accountId: own!.account_id })).toBe(false);
    expect((await browser.get('/team')).status).toBe(200);
    const owned = await first<{ n: number }>(
      'SELECT count(*) AS n FROM member WHERE person_id = ?',
      personId,
    );
    expect(owned).toEqual({ n: 1 });
  });

  it('an open account is never erased', async () => {
    const ada = await owner();
    await eraseAccount(db, ada.accountId);
    expect(await first('SELECT name FROM account WHERE id = ?', ada.accountId)).toEqual({ name: 'Ada' });
    expect(await first('SELECT role FROM member WHERE account_id = ?', ada.accountId)).toEqual({
      role: 'owner',
    });
  });
});
