/**
 * Standing lost between giving and using. Each thing that a person's standing let them make, against each way to lose
 * that standing: what has lost its ground works no more within ten seconds, and the rest goes on.
 */
import { createExecutionContext, waitOnExecutionContext } from 'cloudflare:test';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { createKey } from '../../../worker/db/keys.ts';
import { insertNotice } from '../../../worker/db/notices.ts';
import { mayStillRead } from '../../../worker/db/standing.ts';
import { newId } from '../../../worker/domain/ids.ts';
import { config } from '../../../worker/env.ts';
import app from '../../../worker/index.ts';
import { addEndpoint } from '../../../worker/notifications/webhook/endpoints.ts';
import { portal } from '../../../worker/portal/index.tsx';
import { pepperKey } from '../../../worker/tokens/pepper.ts';
import { Customer } from '../gateway/client.ts';
import { db, LOW_BALANCE, receiverUrl, TaskHarness } from '../notifications/fixtures.ts';
import { received } from '../notifications/receiver.ts';
import { Browser, bindings, newEmail, ORIGIN, PASSWORD } from './browser.ts';
import { operatorSend } from './operator/console.ts';

/** Just longer than an isolate caches a key. */
const CACHE_MS = 5_001;

afterEach(() => {
  vi.useRealTimers();
});

const first = <T>(sql: string, ...values: unknown[]) =>
  bindings.DB.prepare(sql)
    .bind(...values)
    .first<T>('it') as Promise<T>;

async function callApi(key: string, method: string, path: string, body?: object): Promise<Response> {
  const context = createExecutionContext();
  const request = new Request(ORIGIN + path, {
    method,
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    ...(body && { body: JSON.stringify(body) }),
  });
  const response = await app.fetch(request, bindings, context);
  const whole = new Response(await response.text(), response);
  await waitOnExecutionContext(context);
  return whole;
}

const KEY = {
  capUsd: '',
  capPeriod: 'month',
  requestsPerMinute: '60',
  tokensPerMinute: '',
  concurrency: '5',
  expiryDays: '',
};

/** An account of Ada's, of which Bob is an owner too, with everything that Bob's standing lets him make. */
async function makeWorld() {
  const harness = new TaskHarness();
  const newBrowser = () => new Browser('en', harness.env);
  const mailTo = async (email: string) => {
    await harness.drain();
    const { text } = harness.emails.findLast(({ to }) => to === email)!;
    return text.match(/\/invitation\/[\w-]+/)![0];
  };
  const ada = newBrowser();
  const { email: adaEmail } = await ada.signUpConfirmed('Ada');
  const adaId = await first<string>('SELECT id AS it FROM person WHERE email = ?', adaEmail);
  const accountId = await first<string>('SELECT account_id AS it FROM member WHERE person_id = ?', adaId);
  const bob = newBrowser();
  const bobEmail = newEmail();
  await ada.post('/team', { email: bobEmail, role: 'owner' });
  const toBob = await mailTo(bobEmail);
  await bob.post('/sign-up', { name: 'Bob', email: bobEmail, password: 'nine violet kettles', next: toBob });
  await bob.post(toBob, {});
  const bobId = await first<string>('SELECT id AS it FROM person WHERE email = ?', bobEmail);

  const makeKey = async (name: string, scope: string) => {
    const page = await (await bob.postAndFollow('/keys', { ...KEY, name, scope })).text();
    const id = await first<string>(
      'SELECT id AS it FROM api_key WHERE name = ? AND account_id = ?',
      name,
      accountId,
    );
    return { key: page.match(/sk-tg-\w{46}/)![0], id };
  };
  const service = await makeKey('service', 'inference');
  const tool = await makeKey('tool', 'management');
  const child = await (await callApi(tool.key, 'POST', '/v1/keys', { name: 'child' })).json<{
    key: string;
  }>();
  const minted = await callApi(service.key, 'POST', '/v1/tokens', { cap: '1' });
  const { token } = await minted.json<{ token: string }>();
  const ofPage = await (await bob.post('/playground/token', { keyId: service.id })).json<{ token: string }>();
  const hook = receiverUrl();
  await bob.post('/alerts/endpoints', { url: hook });
  const friend = newBrowser();
  const { email: friendEmail } = await friend.signUp('Cleo');
  await bob.post('/team', { email: friendEmail, role: 'owner' });
  const invitation = await mailTo(friendEmail);
  const friendId = await first<string>('SELECT id AS it FROM person WHERE email = ?', friendEmail);
  const isMember = (personId: string) =>
    first<number>(
      'SELECT count(*) AS it FROM member WHERE account_id = ? AND person_id = ?',
      accountId,
      personId,
    );
  return {
    ...{ harness, ada, adaId, accountId, bob, bobId, service, tool, child, token, ofPage, hook },
    ...{ friend, friendId, invitation, isMember, bobEmail },
  };
}
type World = Awaited<ReturnType<typeof makeWorld>>;

const authenticates = async (key: string) => (await callApi(key, 'GET', '/v1/key')).status === 200;

/** How each thing is used, and whether that succeeded. */
const USES = {
  invitation: async ({ friend, invitation, isMember, friendId }: World) => {
    await friend.post(invitation, {});
    return (await isMember(friendId)) === 1;
  },
  key: ({ service }: World) => authenticates(service.key),
  managementKey: async ({ tool }: World) =>
    (await callApi(tool.key, 'POST', '/v1/keys', { name: 'later' })).status === 201,
  keyOfManagementKey: ({ child }: World) => authenticates(child.key),
  tokenOfKey: ({ token }: World) => authenticates(token),
  tokenOfPlayground: ({ ofPage }: World) => authenticates(ofPage.token),
  webhook: async ({ harness, accountId, hook }: World) => {
    const notification = { id: newId('note', Date.now()), accountId, atMs: Date.now(), notice: LOW_BALANCE };
    await insertNotice(db, notification);
    await harness.consume([{ kind: 'notify', noticeId: notification.id }]);
    await harness.drain();
    return received.some(({ url }) => url === hook);
  },
  form: async ({ bob, accountId }: World) => {
    await bob.post('/keys', { ...KEY, name: 'by form', scope: 'inference' });
    const made = "SELECT count(*) AS it FROM api_key WHERE account_id = ? AND name = 'by form'";
    return (await first<number>(made, accountId)) > 0;
  },
  export: async ({ bob, accountId }: World) => {
    const response = await bob.get('/account/export');
    return response.status === 200 && (await response.text()).includes(accountId);
  },
} satisfies Record<string, (world: World) => Promise<boolean>>;
type Thing = keyof typeof USES;

const EVERYTHING = Object.keys(USES) as Thing[];

/** Each way to lose standing, and the things that end with it. */
const LOSSES: Record<string, { lose: (world: World) => unknown; ends: readonly Thing[] }> = {
  nothing: { lose: async () => undefined, ends: [] },
  demoted: {
    lose: ({ ada, bobId }) => ada.post(`/team/members/${bobId}/role`, { role: 'viewer', made: 'end' }),
    ends: EVERYTHING,
  },
  'demoted, and made an owner again': {
    lose: async ({ ada, bobId }) => {
      await ada.post(`/team/members/${bobId}/role`, { role: 'viewer', made: 'end' });
      await ada.post(`/team/members/${bobId}/role`, { role: 'owner' });
    },
    ends: EVERYTHING.filter((thing) => !['form', 'export'].includes(thing)),
  },
  'removed, and their keys kept': {
    lose: ({ ada, bobId }) => ada.post(`/team/members/${bobId}/remove`, { made: 'keep' }),
    ends: ['invitation', 'tokenOfPlayground', 'form', 'export'],
  },
  removed: {
    lose: ({ ada, bobId }) => ada.post(`/team/members/${bobId}/remove`, { made: 'end' }),
    ends: EVERYTHING,
  },
  'account suspended': {
    lose: ({ accountId }) => operatorSend(`/accounts/${accountId}/suspend`, {}),
    // what was written can still be read
    ends: EVERYTHING.filter((thing) => thing !== 'export'),
  },
  'account suspended and resumed': {
    lose: async ({ accountId }) => {
      await operatorSend(`/accounts/${accountId}/suspend`, {});
      await operatorSend(`/accounts/${accountId}/resume`, {});
    },
    ends: ['invitation'],
  },
  'account closed': {
    lose: async ({ ada, accountId }) => {
      const email = await first<string>(
        "SELECT email AS it FROM person JOIN member ON person_id = id WHERE account_id = ? AND name = 'Ada'",
        accountId,
      );
      const closed = await ada.post('/account/close', { email, password: PASSWORD });
      expect(closed.headers.get('location')).toBe('/account/closed');
    },
    ends: EVERYTHING,
  },
  'key revoked': {
    lose: ({ ada, service }) => ada.post(`/keys/${service.id}/revoke`, {}),
    ends: ['key', 'tokenOfKey', 'tokenOfPlayground'],
  },
  'key expired': {
    lose: ({ service }) =>
      bindings.DB.prepare('UPDATE api_key SET expires_at_ms = ? WHERE id = ?')
        .bind(Date.now(), service.id)
        .run(),
    ends: ['key', 'tokenOfKey', 'tokenOfPlayground'],
  },
  'key rotated without overlap': {
    lose: ({ ada, service }) => ada.post(`/keys/${service.id}/rotate`, { overlap: 'none' }),
    ends: ['key', 'tokenOfKey', 'tokenOfPlayground'],
  },
  'management key revoked with what it made': {
    lose: ({ ada, tool }) => ada.post(`/keys/${tool.id}/revoke`, { made: 'end' }),
    ends: ['managementKey', 'keyOfManagementKey'],
  },
  'management key revoked, and what it made kept': {
    lose: ({ ada, tool }) => ada.post(`/keys/${tool.id}/revoke`, { made: 'keep' }),
    ends: ['managementKey'],
  },
  'sessions ended by an operator': {
    lose: ({ bobEmail }) => operatorSend('/people/end-sessions', { email: bobEmail }),
    ends: ['tokenOfPlayground', 'form', 'export'],
  },
  'signed out': {
    lose: ({ bob }) => bob.post('/sign-out', {}),
    ends: ['tokenOfPlayground', 'form', 'export'],
  },
};

describe.each(Object.entries(LOSSES))('after: %s', (_, { lose, ends }) => {
  it('what stood on it works no more, and the rest does', async () => {
    const world = await makeWorld();
    await lose(world);
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + CACHE_MS });
    const ended: Thing[] = [];
    for (const thing of EVERYTHING) if (!(await USES[thing](world))) ended.push(thing);
    expect(ended).toEqual(EVERYTHING.filter((thing) => ends.includes(thing)));
  });
});

/** All rows of the account, but for when its people were last seen and for what reading leaves behind. */
async function rowsOf(accountId: string): Promise<string> {
  const { results: tables } = await bindings.DB.prepare(
    "SELECT m.name FROM sqlite_master AS m JOIN pragma_table_info(m.name) AS c ON c.name = 'account_id' WHERE m.type = 'table'",
  ).all<{ name: string }>();
  const rows = [];
  for (const { name } of tables) {
    const all = bindings.DB.prepare(`SELECT * FROM ${name} WHERE account_id = ?`).bind(accountId);
    rows.push([name, (await all.all()).results]);
  }
  rows.push(await bindings.DB.prepare('SELECT * FROM account WHERE id = ?').bind(accountId).first());
  return JSON.stringify(rows);
}

/** Every field that a form of the portal has, filled in so that the form would do something. */
const FIELDS = (world: World) => ({
  ...KEY,
  name: 'late',
  accountName: 'late',
  scope: 'inference',
  email: newEmail(),
  role: 'viewer',
  made: 'end',
  overlap: 'none',
  url: receiverUrl(),
  lowBalanceUsd: '3',
  lowUsd: '3',
  percents: '50',
  byEmail: 'on',
  amount: '25',
  otherUsd: '',
  legalName: 'Late Ltd',
  street: 'A 1',
  city: 'B',
  country: 'FR',
  taxId: '',
  belowUsd: '5',
  rechargeUsd: '20',
  monthlyMaxUsd: '100',
  code: 'LATE',
  keyId: world.service.id,
});

async function idsOf(world: World): Promise<Record<string, string>> {
  const { accountId, service, adaId } = world;
  return {
    accountId,
    keyId: service.id,
    personId: adaId,
    id: await first<string>('SELECT id AS it FROM webhook_endpoint WHERE account_id = ?', accountId),
    invitationId: await first<string>(
      'SELECT id AS it FROM invitation WHERE account_id = ? ORDER BY created_at_ms DESC',
      accountId,
    ),
    batchId: newId('batch', Date.now()),
  };
}

function fillPath(path: string, ids: Record<string, string>): string {
  return path.replace(/:(\w+)(\{[^}]*\})?/g, (_, name: string, options?: string) =>
    options ? options.slice(1, -1).split('|')[0]! : (ids[name] ?? 'none'),
  );
}

/** The forms of accounts, from the portal's own routes, so that a new one is walked as well. */
const FORMS = [
  ...new Set(portal.routes.filter(({ method }) => method === 'POST').map(({ path }) => path)),
].filter(
  (path) =>
    !/^\/(sign-|language|reset-password|verify-email|mailbox|invitation|settings|operator|account\/close|team\/switch)/.test(
      path,
    ),
);

describe('a form that is sent after', () => {
  it('nothing was lost changes the account, on several routes', async () => {
    const world = await makeWorld();
    const ids = await idsOf(world);
    const changing = [];
    for (const path of FORMS.filter((each) => !/remove|revoke/.test(each))) {
      const before = await rowsOf(world.accountId);
      await world.bob.post(fillPath(path, ids), FIELDS(world));
      if ((await rowsOf(world.accountId)) !== before) changing.push(path);
    }
    expect(changing).toEqual(
      expect.arrayContaining(['/keys', '/keys/:keyId/rotate', '/team', '/account/name']),
    );
    expect(changing.length).toBeGreaterThan(7);
  });

  it.each(['demoted', 'removed', 'account suspended', 'sessions ended by an operator'] as const)(
    '%s changes nothing in the account, on every route',
    async (loss) => {
      const world = await makeWorld();
      const ids = await idsOf(world);
      await LOSSES[loss]!.lose(world);
      const before = await rowsOf(world.accountId);
      const accepted: unknown[] = [];
      expect(FORMS.length).toBeGreaterThan(20);
      for (const path of FORMS) {
        const filled = fillPath(path, ids);
        // the one form of a suspended account that works: it pays what the account owes
        if (loss === 'account suspended' && filled === '/billing') continue;
        const { status, headers } = await world.bob.post(filled, FIELDS(world));
        const location = headers.get('location') ?? '';
        const isRefused = status === 403 || status === 404 || location.startsWith('/sign-in');
        // a removed person has an account of their own, in which forms without an id may work
        if (!isRefused && !(loss === 'removed' && !path.includes(':')))
          accepted.push([path, status, location]);
      }
      expect(accepted).toEqual([]);
      expect(await rowsOf(world.accountId)).toBe(before);
    },
  );
});

it('a suspended account can be read, left for another and topped up, and says why the rest is refused', async () => {
  const { bob, accountId } = await makeWorld();
  await operatorSend(`/accounts/${accountId}/suspend`, {});
  for (const path of ['/keys', '/usage', '/billing', '/team', '/alerts', '/settings'])
    expect([path, (await bob.get(path)).status]).toEqual([path, 200]);
  expect(await (await bob.get('/keys')).text()).toContain('This account is suspended');
  const refused = await bob.post('/keys', { ...KEY, name: 'late', scope: 'inference' });
  expect([refused.status, await refused.text()]).toEqual([
    403,
    expect.stringContaining('account is suspended'),
  ]);
  // the form is read: it names its fault
  expect((await bob.post('/billing', { amount: 'other', otherUsd: '0' })).status).toBe(422);
  expect((await bob.post('/team/switch', { accountId })).status).toBe(303);
  expect((await bob.post('/settings/name', { name: 'Robert' })).status).not.toBe(403);
  await operatorSend(`/accounts/${accountId}/resume`, {});
  expect((await bob.post('/keys', { ...KEY, name: 'again', scope: 'inference' })).status).toBe(303);
});

it('a download breaks off when the right to it is lost on the way', async () => {
  const { ada, bob, bobId, accountId, harness } = await makeWorld();
  const rows = Array.from({ length: 300 }, (_, hour) => [accountId, hour * 3_600_000, 'key_x', 'm'] as const);
  await bindings.DB.batch(
    rows.map((row) =>
      bindings.DB.prepare('INSERT INTO usage_hour VALUES (?, ?, ?, ?, 1, 0, 0, 0, 0, 0, 0)').bind(...row),
    ),
  );
  const cookie = [...bob.cookies].map(([name, value]) => `${name}=${value}`).join('; ');
  const open = async () => {
    const request = new Request(`${ORIGIN}/account/export`, { headers: { cookie } });
    const response = await portal.fetch(request, harness.env, createExecutionContext());
    return response.body!.getReader();
  };
  const readAll = async (reader: ReadableStreamDefaultReader<Uint8Array>) => {
    while (!(await reader.read()).done);
  };
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() });
  const allowed = await open();
  await allowed.read();
  vi.setSystemTime(Date.now() + CACHE_MS);
  await readAll(allowed);
  const lost = await open();
  await lost.read();
  await ada.post(`/team/members/${bobId}/role`, { role: 'viewer', made: 'keep' });
  vi.setSystemTime(Date.now() + CACHE_MS);
  await expect(readAll(lost)).rejects.toThrow();
});

it('a key of a closed account is refused, even one that closing did not revoke', async () => {
  const { accountId, service, token } = await makeWorld();
  await bindings.DB.prepare('UPDATE account SET closed_at_ms = 1 WHERE id = ?').bind(accountId).run();
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + CACHE_MS });
  expect([await authenticates(service.key), await authenticates(token)]).toEqual([false, false]);
});

it('a webhook is not added for a person who has lost the right since the page checked it', async () => {
  const owner = new Browser();
  const accountId = await first<string>(
    'SELECT account_id AS it FROM member JOIN person ON person.id = person_id WHERE email = ?',
    (await owner.signUpConfirmed('Olga')).email,
  );
  const actor = await first<string>('SELECT person_id AS it FROM member WHERE account_id = ?', accountId);
  const request = { accountId, url: 'https://hooks.example.com/late', actor, nowMs: Date.now() };
  const setRole = (role: string) =>
    bindings.DB.prepare('UPDATE member SET role = ? WHERE account_id = ?').bind(role, accountId).run();
  await setRole('viewer');
  expect(await addEndpoint(bindings, request)).toEqual({ ok: false, fault: 'not_allowed' });
  await setRole('owner');
  expect(await addEndpoint(bindings, request)).toMatchObject({ ok: true });
});

it('a session that has expired gives no right any more, to the millisecond', async () => {
  const owner = new Browser();
  const { email } = await owner.signUpConfirmed('Olga');
  const session = (await bindings.DB.prepare(
    `SELECT s.id AS sessionId, s.person_id AS personId, s.expires_at AS endsMs, m.account_id AS accountId
      FROM person_session s JOIN person p ON p.id = s.person_id JOIN member m ON m.person_id = p.id WHERE p.email = ?`,
  )
    .bind(email)
    .first<{ sessionId: string; personId: string; endsMs: number; accountId: string }>())!;
  const mayRead = (nowMs: number) => mayStillRead(db, { ...session, area: 'usage', nowMs });
  expect([await mayRead(session.endsMs - 1), await mayRead(session.endsMs)]).toEqual([true, false]);
});

it('a management key that was revoked, or has expired, since it was checked makes no key', async () => {
  const { accountId } = await Customer.withCredit();
  const pepper = await pepperKey(config(bindings));
  const nowMs = Date.now();
  const manager = await createKey(db, pepper, { accountId, name: 'm', scope: 'management', nowMs });
  const make = () => createKey(db, pepper, { accountId, name: 'made', nowMs }, manager.row.id);
  const set = (column: string, value: number | null) =>
    bindings.DB.prepare(`UPDATE api_key SET ${column} = ? WHERE id = ?`).bind(value, manager.row.id).run();
  expect(await make()).not.toBeNull();
  await set('revoked_at_ms', nowMs);
  expect(await make()).toBeNull();
  await set('revoked_at_ms', null);
  await set('expires_at_ms', nowMs);
  expect(await make()).toBeNull();
});

it('a founder who was removed does not become an owner again by coming back', async () => {
  const { ada, adaId, bob, accountId, isMember } = await makeWorld();
  expect((await bob.post(`/team/members/${adaId}/remove`, { made: 'end' })).status).toBe(303);
  expect((await ada.get('/keys')).status).toBe(200);
  expect(await isMember(adaId)).toBe(0);
  const own = 'SELECT account_id AS it FROM member WHERE person_id = ?';
  const ownId = await first<string>(own, adaId);
  expect(ownId).not.toBe(accountId);
  // and the account of their own stays one
  await Promise.all([ada.get('/keys'), ada.get('/usage')]);
  expect(await first<string>(own, adaId)).toBe(ownId);
});

describe('an operator', () => {
  it('ends a person’s sessions from the account’s page, in the trail of both', async () => {
    const world = await makeWorld();
    const console_ = new Browser('en', world.harness.env);
    const { email } = await console_.signUp();
    await bindings.DB.prepare("UPDATE person SET role = 'operator', two_factor_enabled = 1 WHERE email = ?")
      .bind(email)
      .run();
    const page = `/operator/accounts/${world.accountId}`;
    expect(await (await console_.get(page)).text()).toContain(`people/${world.bobId}/end-sessions`);
    const elsewhere = await console_.post(`${page}/people/${world.friendId}/end-sessions`, {});
    expect(elsewhere.status).toBe(404);
    const done = await console_.post(`${page}/people/${world.bobId}/end-sessions`, {});
    expect([done.status, done.headers.get('location')]).toEqual([303, `${page}?sessions`]);
    expect((await world.bob.get('/keys')).headers.get('location')).toMatch(/^\/sign-in/);
    expect((await world.ada.get('/keys')).status).toBe(200);
    expect(await (await world.ada.get('/team')).text()).toContain('ended a person’s sessions');
    const actor = "SELECT actor AS it FROM audit WHERE action = 'person.sessions_ended' AND subject = ?";
    expect(await first<string>(actor, world.bobId)).toBe(
      await first<string>('SELECT id AS it FROM person WHERE email = ?', email),
    );
    // demoted while the page is open
    await bindings.DB.prepare("UPDATE person SET role = 'customer' WHERE email = ?").bind(email).run();
    expect((await console_.post(`${page}/people/${world.adaId}/end-sessions`, {})).status).toBe(404);
    expect((await world.ada.get('/keys')).status).toBe(200);
  });

  it('ends them by the operator API, too', async () => {
    const { bob, bobEmail } = await makeWorld();
    const ended = await operatorSend('/people/end-sessions', { email: bobEmail.toUpperCase() });
    expect(await ended.json()).toMatchObject({ sessions_ended: 1 });
    expect((await bob.get('/keys')).status).toBe(303);
    expect((await operatorSend('/people/end-sessions', { email: newEmail() })).status).toBe(404);
    expect((await operatorSend('/people/end-sessions', {})).status).toBe(400);
  });
});
