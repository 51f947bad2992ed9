/**
 * The log: everything that is printed on the main ways through portal, API, operator API, fleet and queue, while all goes
 * well and while D1, the queue and the mail service fail, and what must not be in it.
 */
import { createExecutionContext, waitOnExecutionContext } from 'cloudflare:test';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { HEARTBEAT_PATH } from '../../gpu-pool/protocol/constants.ts';
import { createKey } from '../../worker/db/keys.ts';
import { config, type Env } from '../../worker/env.ts';
import app from '../../worker/index.ts';
import { describeError, LoggableError } from '../../worker/lib/describe-error.ts';
import { pepperKey } from '../../worker/tokens/pepper.ts';
import { enrolledNode, heartbeat, newAccount, nodeToken, OPERATOR } from './fleet/fixtures.ts';
import { db, TaskHarness } from './notifications/fixtures.ts';
import { Browser, bindings, ORIGIN } from './portal/browser.ts';

/** Marks in everything that is secret: a line with one of them is a leak. */
const MARK = /zebulon|Quagga|marked-|sk-tg-|ey[\w-]{10,}\.|whsec_|correct horse|hunter2|test-operator-token/i;

let lines: string[];
beforeEach(() => {
  lines = [];
  for (const method of ['log', 'info', 'warn', 'error', 'debug', 'trace'] as const)
    vi.spyOn(console, method).mockImplementation((...args) => void lines.push(printed(args)));
});

/** The arguments as the runtime prints them: an error with its message, its stack, its fields and its causes. */
function printed(args: unknown[]): string {
  const seen = new Set<unknown>();
  const walk = (value: unknown): string => {
    if (typeof value !== 'object' || value === null) return String(value);
    if (seen.has(value)) return '';
    seen.add(value);
    const own = Object.getOwnPropertyNames(value).map((name) => `${name}: ${walk((value as never)[name])}`);
    return own.join('\n');
  };
  return args.map(walk).join(' ');
}

/** A D1 that fails from its nth call on, with the values of the statement in its message, as D1's type errors have. */
function failingDb(real: D1Database, from: number): D1Database {
  let calls = 0;
  const inner = new WeakMap<object, D1PreparedStatement>();
  const fail = (values: unknown[]) => {
    calls += 1;
    if (calls >= from) throw new Error(`D1_ERROR: cannot bind '${values.join("', '")}': SQLITE_BUSY`);
  };
  function statement(of: D1PreparedStatement, values: unknown[]): D1PreparedStatement {
    const call =
      (name: 'run' | 'all' | 'raw' | 'first') =>
      async (...args: never[]) => {
        fail(values);
        return (of[name] as (...args: never[]) => unknown)(...args);
      };
    const outer = {
      bind: (...bound: unknown[]) => statement(of.bind(...bound), bound),
      ...{ run: call('run'), all: call('all'), raw: call('raw'), first: call('first') },
    } as unknown as D1PreparedStatement;
    inner.set(outer, of);
    return outer;
  }
  return {
    prepare: (sql: string) => statement(real.prepare(sql), []),
    batch: async (statements: D1PreparedStatement[]) => {
      fail(['zebulon in a batch']);
      return real.batch(statements.map((each) => inner.get(each)!));
    },
  } as unknown as D1Database;
}

/** Sends a request through the whole Worker. */
async function send(env: Env, path: string, init: RequestInit = {}): Promise<Response> {
  const context = createExecutionContext();
  const response = await app.fetch(new Request(ORIGIN + path, init), env, context);
  const read = new Response(response.body && (await response.arrayBuffer()), response);
  await waitOnExecutionContext(context);
  return read;
}

let people = 0;

/** The ways of a person who signs up, signs in, loses the password, and is invited; each is tried, however it ends. */
async function walkPortal(env: Env): Promise<void> {
  people += 1;
  const email = `zebulon.${people}@example.com`;
  const cookies = new Map<string, string>();
  const post = async (path: string, fields: Record<string, string>) => {
    const response = await send(env, path, {
      method: 'POST',
      headers: {
        'content-type': 'application/x-www-form-urlencoded',
        origin: ORIGIN,
        'cf-connecting-ip': `198.51.100.${people}`,
        cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join('; '),
      },
      body: new URLSearchParams(fields).toString(),
    });
    for (const line of response.headers.getSetCookie()) {
      const [name = '', value = ''] = line.split(';')[0]!.split('=');
      cookies.set(name, value);
    }
    return response;
  };
  const cookie = () => ({ cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join('; ') });
  const password = 'correct horse battery';
  await post('/sign-up', { name: 'Quagga Marker', email, password });
  await post('/sign-up', { name: 'Quagga Marker', email, password });
  await post('/sign-in', { email, password: 'hunter2 hunter2' });
  await post('/sign-in', { email, password });
  await post('/sign-in/link', { email });
  await post('/reset-password', { email });
  await post('/reset-password/marked-token-0123456789', { password: 'hunter2 hunter2 hunter2' });
  await post('/sign-in/link/marked-token-0123456789', {});
  await post('/sign-in/code', { code: '123456' });
  await post('/keys', { name: 'Quagga key' });
  await post('/team', { email: `zebulon.friend.${people}@example.com`, role: 'viewer' });
  await post('/alerts/endpoints', { url: 'https://hooks.example.com/marked-token-0123456789' });
  await post('/settings/second-factor', { password });
  await post('/settings', { name: 'Quagga Other' });
  for (const path of [
    '/verify-email?token=marked-token-0123456789',
    '/reset-password/marked-token-0123456789',
    '/sign-in/link/marked-token-0123456789',
    '/sign-in/github/callback?code=marked-code&state=marked-state',
    '/invitation/marked-token-0123456789',
    '/usage',
    '/keys',
    '/team',
    '/billing',
    '/zebulon-has-no-page',
  ])
    await send(env, path, { headers: cookie() });
}

/** The ways of programs: with an API key, a token, the operator's token, and a node's. */
async function walkApi(env: Env, keys: { inference: string; management: string }): Promise<void> {
  const json = (authorization: string) => ({ authorization, 'content-type': 'application/json' });
  const body = (value: unknown) => JSON.stringify(value);
  const as = { inference: json(`Bearer ${keys.inference}`), management: json(`Bearer ${keys.management}`) };
  const chat = { model: 'deepseek-r1-0528', messages: [{ role: 'user', content: 'marked-prompt' }] };
  await send(env, '/v1/chat/completions', { method: 'POST', headers: as.inference, body: body(chat) });
  await send(env, '/v1/messages', { method: 'POST', headers: { 'x-api-key': keys.inference }, body: '{' });
  await send(env, '/v1/chat/completions', {
    method: 'POST',
    headers: { ...as.inference, 'idempotency-key': 'marked-idempotency' },
    body: body(chat),
  });
  await send(env, '/v1/usage', { headers: as.inference });
  await send(env, '/v1/models/zebulon-model');
  await send(env, '/v1/key', { headers: json("Bearer marked-' OR 1=1 --") });
  await send(env, '/v1/tokens', { method: 'POST', headers: as.inference, body: body({ expires_in: 60 }) });
  await send(env, '/v1/keys', { method: 'POST', headers: as.management, body: body({ name: 'Quagga' }) });
  await send(env, '/operator/api/operators', {
    method: 'POST',
    headers: json(OPERATOR.authorization),
    body: body({ email: 'zebulon@example.com' }),
  });
  await send(env, '/operator/api/promo-codes', {
    method: 'POST',
    headers: json(OPERATOR.authorization),
    body: body({ code: 'QUAGGA', amount_usd: 1, redemptions_max: 1 }),
  });
  await send(env, '/webhooks/sandbox', {
    method: 'POST',
    headers: { 'webhook-id': 'marked-id' },
    body: '{}',
  });
  await send(env, '/webhooks/marked-provider', { method: 'POST', body: '{}' });
}

async function keysOf(): Promise<{ inference: string; management: string }> {
  const accountId = await newAccount();
  const pepper = await pepperKey(config(bindings));
  const make = async (scope: 'inference' | 'management') =>
    (await createKey(db, pepper, { accountId, name: 'Quagga key', scope, nowMs: Date.now() })).key;
  return { inference: await make('inference'), management: await make('management') };
}

const leaks = () => lines.filter((line) => MARK.test(line));

it('has no address, name, token, key or SQL parameter while all goes well', async () => {
  const harness = new TaskHarness();
  await walkPortal(harness.env);
  await walkApi(harness.env, await keysOf());
  await harness.drain();
  expect(leaks()).toEqual([]);
});

it('has none of them while D1 fails, from an early or a later call on', async () => {
  for (const from of [1, 2, 3, 5, 8, 12]) {
    const harness = new TaskHarness({ DB: failingDb(bindings.DB, from) });
    await walkPortal(harness.env);
    await walkApi({ ...harness.env, DB: failingDb(bindings.DB, from) }, await keysOf());
    await harness.consume([
      {
        kind: 'letter',
        letterId: `ltr_${'0'.repeat(26)}`,
        to: 'zebulon@example.com',
        locale: 'en',
        post: {},
      },
    ]);
  }
  expect(leaks()).toEqual([]);
  const all = lines.join('\n');
  for (const event of ['page_failed', 'unhandled', 'task_failed', 'SQLITE_BUSY'])
    expect(all).toContain(event);
});

it('has none of them while D1 fails once, in the middle of what better-auth does', async () => {
  const browser = new Browser();
  await browser.signUp('Quagga Marker', 'zebulon.auth@example.com');
  const seen: string[] = [];
  for (let from = 1; from <= 8; from++) {
    const env = { ...bindings, DB: failingDb(bindings.DB, from) } as Env;
    const failing = new Browser('en', env);
    for (const [name, value] of browser.cookies) failing.cookies.set(name, value);
    await failing.get('/settings');
    await failing.post('/sign-out', {});
    await failing.post('/sign-in', { email: 'zebulon.auth@example.com', password: 'hunter2 hunter2' });
    seen.push(...lines);
  }
  expect(leaks()).toEqual([]);
  expect(seen.join('\n')).toContain('auth_failed');
});

it('has no address when the mail service or the queue fails', async () => {
  const harness = new TaskHarness();
  const letter = {
    ...{ kind: 'letter', letterId: `ltr_${'0'.repeat(26)}`, to: 'zebulon@example.com', locale: 'en' },
    post: { kind: 'reset', url: `${ORIGIN}/reset-password/marked-token-0123456789` },
  };
  harness.emailFault = Object.assign(new Error('zebulon@example.com bounced'), {
    code: 'E_INTERNAL_SERVER_ERROR',
  });
  await harness.consume([letter]);
  harness.emailFault = Object.assign(new Error('zebulon@example.com refused'), {
    code: 'E_RECIPIENT_SUPPRESSED',
  });
  await harness.consume([letter]);
  await harness.consume([letter], { name: 'tollgate-tasks-failed' });
  const send = () => Promise.reject(new Error('cannot send to zebulon@example.com'));
  await walkPortal({ ...bindings, TASKS: { send, sendBatch: send } } as unknown as Env);
  expect(lines.join('\n')).toContain('letter_refused');
  expect(leaks()).toEqual([]);
});

it('has nothing of a heartbeat whose parts fail', async () => {
  const node = await enrolledNode();
  const POOL = { getByName: () => ({ heartbeat: () => Promise.reject(new Error('marked-pool zebulon')) }) };
  await send({ ...bindings, POOL } as unknown as Env, HEARTBEAT_PATH, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${await nodeToken(node, node.id)}`,
      'content-type': 'application/json',
    },
    body: JSON.stringify(heartbeat()),
  });
  expect(lines.join('\n')).toContain('heartbeat_part_failed');
  expect(leaks()).toEqual([]);
});

describe('the description of an error', () => {
  it('has names, codes and places, and no message', () => {
    const cause = Object.assign(
      new Error('D1_ERROR: UNIQUE constraint failed: person.email: SQLITE_CONSTRAINT'),
    );
    const error = Object.assign(new TypeError('zebulon@example.com', { cause }), {
      code: 'E_FAILED',
      status: 503,
    });
    const text = describeError(error);
    expect(text).toContain('TypeError E_FAILED 503 at ');
    expect(text).toContain('[D1_ERROR, UNIQUE constraint failed: person.email, SQLITE_CONSTRAINT]');
    expect(text).toMatch(/logs\.test\.ts:\d+:\d+/);
    expect(text).not.toContain('zebulon');
  });

  it('is not fooled by messages, codes and names that look like what it prints', () => {
    const error = new Error('x\n    at zebulon (marked-1:1:1)\nSQLITE_ZEBULON');
    Object.assign(error, { code: 'marked-code@x', status: 'zebulon 1', name: 'zebulon@example.com' });
    expect(describeError(error)).not.toMatch(MARK);
    expect(describeError(new Error('at zebulon (marked-1:1:1)', { cause: 'zebulon' }))).not.toMatch(MARK);
    expect(describeError('zebulon')).not.toMatch(MARK);
  });

  it('has the message of an error that was written for the log', () => {
    expect(describeError(new LoggableError('KEY_PEPPER is not set'))).toBe(
      'LoggableError: KEY_PEPPER is not set',
    );
  });
});
