/**
 * Every route of the Worker, from its own route tables: the headers that each answer has, and what a method gets that the
 * path does not take.
 */
import { createExecutionContext, waitOnExecutionContext } from 'cloudflare:test';
import { env as bindings } from 'cloudflare:workers';
import type { RouterRoute } from 'hono/types';
import { beforeAll, expect, it, vi } from 'vitest';
import { api } from '../../../worker/api/index.ts';
import { billing } from '../../../worker/billing/index.ts';
import { database } from '../../../worker/db/client.ts';
import { createKey } from '../../../worker/db/keys.ts';
import { config, type Env } from '../../../worker/env.ts';
import { fleet } from '../../../worker/fleet/index.ts';
import app from '../../../worker/index.ts';
import { operator } from '../../../worker/operator/index.ts';
import { portal } from '../../../worker/portal/index.tsx';
import { pepperKey } from '../../../worker/tokens/pepper.ts';
import { newAccount, OPERATOR } from '../fleet/fixtures.ts';
import { Browser } from '../portal/browser.ts';

const env = bindings as unknown as Env;
const ORIGIN = 'https://tollgate.test';
const METHODS = ['GET', 'HEAD', 'OPTIONS', 'POST', 'PUT', 'PATCH', 'DELETE'] as const;

interface Path {
  /** With its parameters filled in. */
  readonly path: string;
  readonly methods: ReadonlySet<string>;
}

/** The paths of the Worker, each with the methods that its routes take. */
function pathsOf(tables: readonly (readonly [prefix: string, routes: readonly RouterRoute[]])[]): Path[] {
  const byPattern = new Map<string, Set<string>>();
  for (const [prefix, routes] of tables)
    for (const { method, path } of routes) {
      if (method === 'ALL') continue;
      const methods = byPattern.get(prefix + path) ?? new Set();
      byPattern.set(prefix + path, methods.add(method));
    }
  const filled = new Map<string, Set<string>>();
  for (const [pattern, methods] of byPattern) {
    const path = fill(pattern);
    filled.set(path, new Set([...(filled.get(path) ?? []), ...methods]));
  }
  return [...filled].map(([path, methods]) => ({ path, methods }));
}

/** The path with ids that do not exist in place of its parameters. */
function fill(pattern: string): string {
  return pattern
    .replace(':id{.+/[0-9]+}', 'model/1')
    .replace(/:\w+\{((?:[^{}]|\{[^}]*\})*)\}/g, (_, options: string) => {
      const [first = ''] = options.split('|');
      return /^[\w-]+$/.test(first) ? first : options.startsWith('TG-[0-9]') ? 'TG-000001' : 'x';
    })
    .replace(/:\w+/g, 'x');
}

const JSON_PATHS = pathsOf([
  ['', api.routes],
  ['', fleet.routes],
  ['/operator/api', operator.routes],
  ['', billing.routes],
]);
const PAGES = pathsOf([['', portal.routes]]);
const UNKNOWN = [
  '/v1/nothing',
  '/anthropic/nothing',
  '/nothing',
  '/operator/api/nothing',
  '/operator/nothing',
];

let key: string;
let person: Browser;
beforeAll(async () => {
  const request = { accountId: await newAccount(), name: 'test', nowMs: Date.now() };
  ({ key } = await createKey(database(env), await pepperKey(config(env)), request));
  person = new Browser();
  await person.signUp();
});

async function send(method: string, path: string, headers: Record<string, string> = {}): Promise<Response> {
  const context = createExecutionContext();
  const hasBody = !['GET', 'HEAD', 'OPTIONS'].includes(method);
  const request = new Request(ORIGIN + path, { method, headers, ...(hasBody && { body: '' }) });
  const streaming = await app.fetch(request, env, context);
  const response = new Response(streaming.body && (await streaming.arrayBuffer()), streaming);
  await waitOnExecutionContext(context);
  return response;
}

/** Headers by which each kind of caller is known. */
const callers = (): Record<string, string>[] => [
  {},
  { authorization: `Bearer ${key}` },
  OPERATOR,
  { cookie: [...person.cookies].map(([name, value]) => `${name}=${value}`).join('; ') },
];

function headerFaults(path: string, { headers, status }: Response): string[] {
  const faults: string[] = [];
  if (headers.get('strict-transport-security') !== 'max-age=31536000; includeSubDomains') faults.push('HSTS');
  if (headers.get('x-content-type-options') !== 'nosniff') faults.push('nosniff');
  if (!/^(no-referrer|same-origin)$/.test(headers.get('referrer-policy') ?? '')) faults.push('referrer');
  faults.push(...policyFaults(headers.get('content-security-policy') ?? ''));
  if (!/no-store/.test(headers.get('cache-control') ?? '') && !isPublic(path, status)) faults.push('stored');
  return faults;
}

/** Directives that a policy must have and may not weaken. Only a page of ours may be framed, and by our own pages alone. */
function policyFaults(policy: string): string[] {
  const directives = policy.split(';').map((each) => each.trim());
  const required = ["default-src 'none'", "object-src 'none'", "base-uri 'none'"];
  const missing = required.filter((each) => !directives.includes(each));
  const isFramed = !/(^|; ?)frame-ancestors '(none|self)'(;|$)/.test(policy);
  const isInline = /script-src[^;]*unsafe/.test(policy);
  return [...missing, ...(isFramed ? ['frame-ancestors'] : []), ...(isInline ? ['scripts'] : [])];
}

/** The pages that anybody may read, and nothing else, may be kept by a cache. */
function isPublic(path: string, status: number): boolean {
  return status === 200 && ['/openapi.json', '/.well-known/jwks.json'].includes(path);
}

it('names the type of every answer that has a body, and its charset where it is text', async () => {
  vi.spyOn(console, 'warn').mockImplementation(() => undefined);
  const faults: unknown[] = [];
  for (const path of [...[...JSON_PATHS, ...PAGES].map((each) => each.path), ...UNKNOWN])
    for (const headers of callers()) {
      const response = await send('GET', path, headers);
      const [type, body] = [response.headers.get('content-type') ?? '', await response.text()];
      if (body === '') continue;
      const isText = /^text\/|xml/.test(type);
      const isRight = isText
        ? /; ?charset=utf-8/i.test(type)
        : /^application\/(json|x-ndjson)|^image\//.test(type);
      if (!isRight || body.trimStart().startsWith('<') !== /html|svg/.test(type)) faults.push([path, type]);
    }
  expect(faults).toEqual([]);
});

it('has HSTS of a year, nosniff, a policy, a referrer policy and no-store on every answer, errors too', async () => {
  vi.spyOn(console, 'warn').mockImplementation(() => undefined);
  const faults: unknown[] = [];
  for (const path of [...[...JSON_PATHS, ...PAGES].map((each) => each.path), ...UNKNOWN])
    for (const headers of callers())
      for (const method of ['GET', 'POST', 'DELETE', 'OPTIONS']) {
        const response = await send(method, path, headers);
        const found = headerFaults(path, response);
        if (found.length > 0) faults.push([method, path, response.status, ...found]);
      }
  expect(faults).toEqual([]);
  expect(JSON_PATHS.length + PAGES.length).toBeGreaterThan(90);
});

it('has them on an answer that failed', async () => {
  vi.spyOn(console, 'error').mockImplementation(() => undefined);
  const prepare = () => {
    throw new Error('down');
  };
  const broken = { ...env, DB: { prepare } } as unknown as Env;
  for (const path of ['/user/balance', '/usage', '/operator/api/nodes'])
    for (const headers of callers()) {
      const context = createExecutionContext();
      const response = await app.fetch(new Request(ORIGIN + path, { headers }), broken, context);
      expect([path, response.status, headerFaults(path, response)]).toEqual([path, response.status, []]);
    }
});

it.each([
  ['programs', JSON_PATHS],
  ['people', PAGES],
])('answers a method that a path of %s does not take with 405 and Allow', async (kind, paths) => {
  vi.spyOn(console, 'warn').mockImplementation(() => undefined);
  const faults: unknown[] = [];
  for (const { path, methods } of paths) {
    const expected = new Set([...methods, 'OPTIONS', ...(methods.has('GET') ? ['HEAD'] : [])]);
    for (const method of METHODS.filter((each) => !expected.has(each))) {
      const response = await send(method, path, { ...OPERATOR, origin: ORIGIN });
      const allow = new Set(response.headers.get('allow')?.split(', '));
      const body = method === 'HEAD' ? '' : await response.text();
      const isReadable =
        method === 'HEAD' ||
        (kind === 'people' ? body.includes('<h1') : JSON.parse(body).error !== undefined);
      if (response.status !== 405 || expected.symmetricDifference(allow).size > 0 || !isReadable)
        faults.push([method, path, response.status, [...allow]]);
    }
  }
  expect(faults).toEqual([]);
});

it('answers OPTIONS with 204: the methods, or to browsers that use tokens the CORS headers', async () => {
  const faults: unknown[] = [];
  for (const { path } of [...JSON_PATHS, ...PAGES]) {
    const response = await send('OPTIONS', path);
    const says = response.headers.get('allow') ?? response.headers.get('access-control-allow-methods');
    if (response.status !== 204 || says === null) faults.push([path, response.status]);
  }
  expect(faults).toEqual([]);
});

it('serves nothing over plain HTTP: a page is redirected to the configured origin, a program refused', async () => {
  const html = { accept: 'text/html,*/*' };
  const plain = (path: string, init: RequestInit) =>
    app.fetch(new Request(`http://other.example${path}`, init), env, createExecutionContext());
  const page = await plain('/usage?by=hour', { headers: html });
  expect([page.status, page.headers.get('location')]).toEqual([308, `${ORIGIN}/usage?by=hour`]);
  expect(headerFaults('/usage', page)).toEqual([]);
  for (const [path, method] of [
    ['/v1/key', 'GET'],
    ['/v1/chat/completions', 'POST'],
    ['/operator/api/nodes', 'GET'],
    ['/fleet/heartbeat', 'POST'],
    ['/webhooks/stripe', 'POST'],
    ['/sign-in', 'POST'],
  ] as const) {
    const response = await plain(path, { method, headers: { authorization: `Bearer ${key}` } });
    const body = await response.json<{ error: { code: string } }>();
    expect([path, response.status, body.error.code]).toEqual([path, 403, 'https_required']);
    expect(response.headers.get('location')).toBeNull();
    expect(headerFaults(path, response)).toEqual([]);
  }
});

it('does not answer TRACE, which would send back what a browser keeps from scripts', async () => {
  for (const path of ['/v1/key', '/usage', '/operator/api/nodes', '/nothing', '/webhooks/stripe']) {
    const request = new Request(ORIGIN + path, { headers: { 'x-echo': 'trace-mark' } });
    Object.defineProperty(request, 'method', { value: 'TRACE' });
    const response = await app.fetch(request, env, createExecutionContext());
    expect([path, response.status]).toEqual([path, path === '/nothing' ? 403 : 405]);
    expect(await response.text()).not.toContain('trace-mark');
  }
});

it('reads no key or token from a URL', async () => {
  for (const name of ['key', 'api_key', 'token', 'access_token', 'authorization', 'x-api-key'])
    for (const path of ['/v1/key', '/v1/models/x', '/user/balance', '/operator/api/nodes']) {
      const asked = await send('GET', `${path}?${name}=${encodeURIComponent(key)}`);
      expect([path, name, asked.status]).toEqual([path, name, path === '/v1/models/x' ? 404 : 401]);
    }
});

it('answers HEAD as GET, without a body', async () => {
  for (const path of ['/v1/models', '/healthz', '/pricing', '/openapi.json', '/nothing']) {
    const [get, head] = [await send('GET', path), await send('HEAD', path)];
    expect([path, head.status, await head.text()]).toEqual([path, get.status, '']);
    expect(head.headers.get('content-type')).toBe(get.headers.get('content-type'));
  }
});

it('answers an unknown path of programs with an error of the API, whatever the method', async () => {
  for (const path of ['/v1/nothing', '/anthropic/nothing', '/operator/api/nothing'])
    for (const method of ['GET', 'POST', 'DELETE']) {
      const response = await send(method, path, OPERATOR);
      const { error } = await response.json<{ error: { code: string } }>();
      expect([path, response.status, error.code]).toEqual([path, 404, 'route_not_found']);
    }
});

it.each([
  [{ ENVIRONMENT: 'production', PUBLIC_ORIGIN: 'http://tollgate.example' }],
  [{ ENVIRONMENT: 'production', PUBLIC_ORIGIN: 'http://localhost:8787' }],
  [{ ENVIRONMENT: 'development', PUBLIC_ORIGIN: 'http://tollgate.example' }],
  [{ ENVIRONMENT: 'development', PUBLIC_ORIGIN: 'http://localhost.example' }],
  [{ ENVIRONMENT: 'development', PUBLIC_ORIGIN: 'ftp://localhost' }],
])('serves nothing with %j', async (settings) => {
  const logged = vi.spyOn(console, 'error').mockImplementation(() => undefined);
  for (const path of ['/healthz', '/v1/models', '/', '/sign-in', '/operator/api/nodes']) {
    const context = createExecutionContext();
    const response = await app.fetch(new Request(ORIGIN + path), { ...env, ...settings } as Env, context);
    expect([path, response.status]).toEqual([path, 500]);
    expect(headerFaults(path, response)).toEqual([]);
  }
  expect(JSON.stringify(logged.mock.calls)).toContain('PUBLIC_ORIGIN');
});

it.each([
  [{ ENVIRONMENT: 'production', PUBLIC_ORIGIN: 'https://tollgate.example' }],
  [{ ENVIRONMENT: 'development', PUBLIC_ORIGIN: 'http://localhost:8787' }],
  [{ ENVIRONMENT: 'development', PUBLIC_ORIGIN: 'http://127.0.0.1:8787' }],
])('serves with %j', async (settings) => {
  const context = createExecutionContext();
  const response = await app.fetch(new Request(`${ORIGIN}/healthz`), { ...env, ...settings } as Env, context);
  expect(response.status).toBe(200);
});
