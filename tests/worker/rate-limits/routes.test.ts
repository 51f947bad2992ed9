/**
 * Every route that writes has a rate limit, found from the routes' own tables: with counters that refuse everything, a
 * route that answers anything but 429 is one that nothing limits.
 */
import { createExecutionContext, waitOnExecutionContext } from 'cloudflare:test';
import { beforeAll, describe, expect, it } from 'vitest';
import { api } from '../../../worker/api/index.ts';
import { billing } from '../../../worker/billing/index.ts';
import { createKey } from '../../../worker/db/keys.ts';
import type { RateRequest } from '../../../worker/domain/rate-limit.ts';
import { config, type Env } from '../../../worker/env.ts';
import { fleet } from '../../../worker/fleet/index.ts';
import worker from '../../../worker/index.ts';
import { operator } from '../../../worker/operator/index.ts';
import { portal } from '../../../worker/portal/index.tsx';
import { pepperKey } from '../../../worker/tokens/pepper.ts';
import { db, newAccount } from '../notifications/fixtures.ts';
import { Browser, bindings, ORIGIN } from '../portal/browser.ts';
import { filled, limitedRoutes, type Route } from './write-routes.ts';

/** An environment whose counters refuse every attempt. */
const refusing: Env = {
  ...bindings,
  RATE_LIMITER: {
    getByName: () => ({
      take: async (requests: readonly RateRequest[]) => ({
        allowed: false,
        states: requests.map((request) => ({ ...request, remaining: 0, resetMs: 7_000 })),
      }),
    }),
  } as unknown as Env['RATE_LIMITER'],
};

const REFUSED = [429, '7', '0', '7s'];

function refusal({ status, headers }: Response): (string | number | null)[] {
  const names = ['retry-after', 'x-ratelimit-remaining-requests', 'x-ratelimit-reset-requests'];
  return [status, ...names.map((name) => headers.get(name))];
}

async function send(env: Env, { method, path }: Route, headers: Record<string, string>): Promise<Response> {
  const context = createExecutionContext();
  const init = { method, headers: { origin: ORIGIN, ...headers }, body: method === 'GET' ? null : '{}' };
  const response = await worker.fetch(new Request(ORIGIN + filled(path), init), env, context);
  await waitOnExecutionContext(context);
  return response;
}

async function unlimited(routes: readonly Route[], request: (route: Route) => Promise<Response>) {
  const violations: unknown[] = [];
  for (const route of routes) {
    const response = await request(route);
    if (String(refusal(response)) !== String(REFUSED)) violations.push([route, refusal(response)]);
  }
  return violations;
}

let owner: Browser;
let keys: Record<'inference' | 'management', string>;

beforeAll(async () => {
  owner = new Browser('en', refusing);
  const before = new Browser();
  const { email } = await before.signUp();
  await bindings.DB.prepare("UPDATE person SET role = 'operator' WHERE email = ?").bind(email).run();
  for (const [name, value] of before.cookies) owner.cookies.set(name, value);
  const accountId = await newAccount();
  const pepper = await pepperKey(config(bindings));
  const make = async (scope: 'inference' | 'management') =>
    (await createKey(db, pepper, { accountId, name: 'k', scope, nowMs: Date.now() })).key;
  keys = { inference: await make('inference'), management: await make('management') };
});

describe('every write, and every costly read', () => {
  it('of the portal is limited, for people and for visitors', async () => {
    const routes = limitedRoutes(portal);
    expect(routes.length).toBeGreaterThan(55);
    const as = (browser: Browser) => (route: Route) =>
      route.method === 'GET' ? browser.get(filled(route.path)) : browser.post(filled(route.path), {});
    expect(await unlimited(routes, as(owner))).toEqual([]);
    const forms = routes.filter(({ method }) => method !== 'GET');
    expect(await unlimited(forms, as(new Browser('en', refusing)))).toEqual([]);
  });

  it('of the API is limited', async () => {
    const routes = limitedRoutes(api);
    expect(routes.length).toBeGreaterThan(10);
    const violations = await unlimited(routes, async (route) => {
      const response = await send(refusing, route, { authorization: `Bearer ${keys.inference}` });
      return response.status === 403
        ? send(refusing, route, { authorization: `Bearer ${keys.management}` })
        : response;
    });
    expect(violations).toEqual([]);
  });

  it('of the operator API, the fleet and the sandbox is limited', async () => {
    const headers = { authorization: `Bearer ${config(bindings).operatorToken}` };
    const routes = [
      ...limitedRoutes(operator, '/operator/api'),
      ...limitedRoutes(fleet),
      ...limitedRoutes(billing),
    ];
    expect(routes.length).toBeGreaterThan(12);
    const writes = routes.filter(({ method }) => method !== 'GET');
    expect(await unlimited(writes, (route) => send(refusing, route, headers))).toEqual([]);
  });
});

it('a form that another site sends is refused before it counts', async () => {
  expect((await owner.post('/keys', {}, 'https://evil.example')).status).toBe(403);
});

const EVIL = 'https://evil.example';
const form = { 'content-type': 'application/x-www-form-urlencoded' };

it.each<[what: string, status: number, headers: Record<string, string>]>([
  ['a form of ours', 303, { ...form, origin: ORIGIN }],
  ['a form of ours without Origin', 303, { ...form, 'sec-fetch-site': 'same-origin' }],
  ['no browser', 403, form],
  ['another site', 403, { ...form, origin: EVIL }],
  ['a sandboxed frame', 403, { ...form, origin: 'null', 'sec-fetch-site': 'cross-site' }],
  ['a sibling host', 403, { ...form, origin: `${ORIGIN}.evil.example`, 'sec-fetch-site': 'same-site' }],
  ['the same Worker at another host', 403, { ...form, origin: EVIL, 'sec-fetch-site': 'same-origin' }],
  ['another site with JSON', 403, { 'content-type': 'application/json', origin: EVIL }],
  ['another site with an unknown type', 403, { 'content-type': 'x/y', origin: EVIL }],
  ['another site without a body', 403, { origin: EVIL }],
])('a form that needs no field, from %s, is answered %i', async (_, status, headers) => {
  const request = new Request(`${ORIGIN}/sign-out`, { method: 'POST', headers });
  const response = await worker.fetch(request, bindings, createExecutionContext());
  expect(response.status).toBe(status);
});

describe('of 100 calls at once', () => {
  const accepted = (responses: readonly Response[], status: number) =>
    responses.filter((response) => response.status === status).length;

  it('a management key makes 60 keys, and the rest are told when to try again', async () => {
    const route = { method: 'POST', path: '/v1/keys' };
    const headers = { authorization: `Bearer ${keys.management}`, 'content-type': 'application/json' };
    const responses: Response[] = [];
    for (let i = 0; i < 10; i++) {
      const calls = Array.from({ length: 10 }, async () => {
        const context = createExecutionContext();
        const body = JSON.stringify({ name: 'many' });
        const request = new Request(ORIGIN + route.path, { method: 'POST', headers, body });
        return worker.fetch(request, bindings, context);
      });
      responses.push(...(await Promise.all(calls)));
    }
    expect(accepted(responses, 201)).toBe(60);
    const refused = responses.filter(({ status }) => status === 429);
    expect(refused).toHaveLength(40);
    const { error } = await refused[0]!.json<{ error: { code: string; message: string } }>();
    expect(error.code).toBe('rate_limit_exceeded');
    expect(error.message).toMatch(/60 changes through the API per minute and key\. Try again in \d+ s/);
    const first = responses.find(({ status }) => status === 201)!;
    expect(first.headers.get('x-ratelimit-limit-requests')).toBe('60');
    expect(refused[0]!.headers.get('x-ratelimit-reset-requests')).toMatch(/^\d+s$/);
  });

  it('a person renames the account 60 times, and then sees a page that says when to go on', async () => {
    const browser = new Browser();
    await browser.signUp();
    const responses: Response[] = [];
    for (let i = 0; i < 100; i++)
      responses.push(await browser.post('/account/name', { accountName: `N ${i}` }));
    expect(accepted(responses, 303)).toBe(60);
    const last = responses.at(-1)!;
    expect([last.status, Number(last.headers.get('retry-after')) <= 60]).toEqual([429, true]);
    expect(await last.text()).toMatch(/Try again in \d+/);
    expect((await browser.get('/keys')).status).toBe(200);
  });
});
