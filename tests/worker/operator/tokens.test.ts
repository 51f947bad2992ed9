/** Tokens of the operator API: which routes each scope opens, when a token ends, and what the audit trail says. */
import { describe, expect, it } from 'vitest';
import { DEPLOY_TOKEN_ACTOR } from '../../../worker/db/operator-tokens.ts';
import { newId } from '../../../worker/domain/ids.ts';
import { OPERATOR_SCOPES, type OperatorScope } from '../../../worker/domain/operator-scopes.ts';
import type { Env } from '../../../worker/env.ts';
import { makeOperatorToken } from '../../../worker/identity/operator-tokens.ts';
import { operator } from '../../../worker/operator/index.ts';
import { neededScope, SCOPES } from '../../../worker/operator/scopes.ts';
import { auditOf, env, newAccount, OPERATOR, server } from '../fleet/fixtures.ts';
import { operatorBrowser } from '../portal/operator/console.ts';

const API = '/operator/api';
const DAY_MS = 86_400_000;

/** The routes of the operator API. Middleware and the catch-all are registered for all methods. */
const ROUTES = [
  ...new Map(
    operator.routes
      .filter(({ method }) => method !== 'ALL')
      .map(({ method, path }) => [`${method} ${path}`, { method, path }]),
  ).values(),
];

function fill(path: string): string {
  return path
    .replace(':id{.+/[0-9]+}', 'model/1')
    .replace(/:\w+\{([\w-]+)[^}]*\}/g, '$1')
    .replace(/:\w+/g, 'x');
}

let names = 0;
async function newToken(
  scopes: readonly OperatorScope[],
  { days = 1, nowMs = Date.now(), actor = DEPLOY_TOKEN_ACTOR } = {},
) {
  names += 1;
  const name = `token-${names}`;
  const made = await makeOperatorToken(env, { name, scopes, days, actor, nowMs });
  return { name, id: made!.id, bearer: { authorization: `Bearer ${made!.token}` } };
}

function call(
  method: string,
  path: string,
  headers: Record<string, string>,
  body: unknown = {},
  using: Env = env,
) {
  const init = method === 'GET' ? { headers } : { method, headers, body: JSON.stringify(body) };
  const json = { ...init, headers: { 'content-type': 'application/json', ...headers } };
  return server.request(API + path, json, using);
}

async function codeOf(response: Response | Promise<Response>): Promise<string> {
  const { status, ...rest } = { status: (await response).status, body: await (await response).json() };
  return `${status} ${(rest.body as { error?: { code: string } }).error?.code ?? 'ok'}`;
}

it('every route declares a scope, and every scope that is declared has a route', () => {
  expect(ROUTES.filter(({ method, path }) => neededScope(method, path) === null)).toEqual([]);
  expect(ROUTES.length).toBeGreaterThan(20);
  const declared = ROUTES.map(
    ({ method, path }) => `${method} ${path.replaceAll(/\{(?:[^{}]|\{[^}]*\})*\}/g, '')}`,
  );
  expect(Object.keys(SCOPES).filter((route) => !declared.includes(route))).toEqual([]);
});

it('a route without a scope would be closed, and is not taken for another', () => {
  expect(neededScope('DELETE', '/nodes')).toBeNull();
  expect(neededScope('POST', '/nodes')).toBeNull();
});

describe.each([...OPERATOR_SCOPES])('a token with the scope %s', (scope) => {
  it('opens the routes of that scope and no other', async () => {
    const { bearer } = await newToken([scope]);
    const faults: unknown[] = [];
    for (const { method, path } of ROUTES) {
      const { status } = await call(method, fill(path), bearer);
      const may = neededScope(method, path) === scope;
      if ((status === 403) === may || status === 401) faults.push([method, path, status]);
    }
    expect(faults).toEqual([]);
  });
});

it('no scope at all lets a token make operators or tokens, or end tokens', async () => {
  const { bearer, id } = await newToken([...OPERATOR_SCOPES]);
  for (const [path, body] of [
    ['/operators', { email: 'a@example.com' }],
    ['/tokens', { name: 'mine', scopes: ['read'], expires_in_days: 1 }],
    [`/tokens/${id}/revoke`, {}],
  ] as const)
    expect(await codeOf(call('POST', path, bearer, body))).toBe('403 operator_scope_missing');
});

describe('a token', () => {
  it('is made by the deploy-time token, is shown once, and is named by the trail', async () => {
    const body = { name: 'ci.deploy', scopes: ['read', 'accounts'], expires_in_days: 30 };
    const response = await call('POST', '/tokens', OPERATOR, body);
    expect(response.status).toBe(201);
    const { token, id } = await response.json<{ token: string; id: string }>();
    const listed = await (await call('GET', '/tokens', OPERATOR)).text();
    expect(listed).toContain('ci.deploy');
    expect(listed).not.toContain(token);
    const stored = await env.DB.prepare('SELECT * FROM operator_token WHERE id = ?').bind(id).first();
    expect(JSON.stringify(stored)).not.toContain(token);

    const accountId = await newAccount();
    const bearer = { authorization: `Bearer ${token}` };
    expect((await call('PATCH', `/accounts/${accountId}/limits`, bearer, { concurrency: 5 })).status).toBe(
      200,
    );
    expect((await auditOf(accountId)).map(({ actor }) => actor)).toEqual(['operator-token:ci.deploy']);
    expect((await auditOf(id))[0]).toMatchObject({
      action: 'operator_token.created',
      actor: 'operator-token',
    });
    const used = await (await call('GET', '/tokens', OPERATOR)).json<{
      tokens: { id: string; last_used_at: string }[];
    }>();
    expect(used.tokens.find((each) => each.id === id)?.last_used_at).toMatch(/^\d{4}-/);
  });

  it('has a name of its own for ever, an expiry within a year, and scopes that exist', async () => {
    const body = { name: 'once', scopes: ['read'], expires_in_days: 30 };
    const first = await (await call('POST', '/tokens', OPERATOR, body)).json<{ id: string }>();
    await call('POST', `/tokens/${first.id}/revoke`, OPERATOR);
    expect(await codeOf(call('POST', '/tokens', OPERATOR, body))).toBe('409 operator_token_not_made');
    for (const change of [
      { expires_in_days: 366 },
      { expires_in_days: 0 },
      { expires_in_days: undefined },
      { scopes: [] },
      { scopes: ['everything'] },
      { name: 'operator-token:x' },
      { name: '' },
    ])
      expect(await codeOf(call('POST', '/tokens', OPERATOR, { ...body, name: 'other', ...change }))).toBe(
        '400 body_invalid',
      );
  });

  it('ends when it is revoked, and when its time is over', async () => {
    const live = await newToken(['read']);
    expect((await call('GET', '/nodes', live.bearer)).status).toBe(200);
    expect((await call('POST', `/tokens/${live.id}/revoke`, OPERATOR)).status).toBe(200);
    expect(await codeOf(call('GET', '/nodes', live.bearer))).toBe('401 operator_token_invalid');
    expect(await codeOf(call('POST', `/tokens/${live.id}/revoke`, OPERATOR))).toBe(
      '404 operator_token_not_found',
    );
    const over = await newToken(['read'], { nowMs: Date.now() - DAY_MS - 1 });
    expect(await codeOf(call('GET', '/nodes', over.bearer))).toBe('401 operator_token_invalid');
  });

  it('lives only while the person who made it is an operator with a second factor', async () => {
    const id = newId('acct', Date.now());
    const set = (role: string, factor: number) =>
      env.DB.prepare('UPDATE person SET role = ?, two_factor_enabled = ? WHERE id = ?')
        .bind(role, factor, id)
        .run();
    await env.DB.prepare(
      'INSERT INTO person (id, name, email, created_at, updated_at) VALUES (?, ?, ?, 1, 1)',
    )
      .bind(id, 'Op', `${id}@example.com`)
      .run();
    await set('operator', 1);
    const { bearer } = await newToken(['read'], { actor: id });
    const status = async () => (await call('GET', '/nodes', bearer)).status;
    expect(await status()).toBe(200);
    await set('operator', 0);
    expect(await status()).toBe(401);
    await set('customer', 1);
    expect(await status()).toBe(401);
    await set('operator', 1);
    expect(await status()).toBe(200);
  });

  it('survives the rotation of the pepper when it is used meanwhile', async () => {
    const NEXT = 'a-next-pepper-0123456789abcdef';
    const { bearer, id } = await newToken(['read']);
    const inUse = { ...env, KEY_PEPPER_NEXT: NEXT, USE_NEXT: 'KEY_PEPPER' } as Env;
    expect((await call('GET', '/nodes', bearer, {}, inUse)).status).toBe(200);
    expect((await call('GET', '/nodes', bearer, {}, { ...env, KEY_PEPPER: NEXT } as Env)).status).toBe(200);
    await env.DB.prepare('DELETE FROM operator_token WHERE id = ?').bind(id).run();
  });
});

describe('the page', () => {
  it('makes a token that is shown once and works, and revokes it', async () => {
    const console = await operatorBrowser();
    const fields = { name: 'by-page', days: '30', read: 'on' };
    const page = await (await console.postAndFollow('/operator/tokens', fields)).text();
    const token = /op-tg-[\w-]{43}/.exec(page)![0];
    expect(await (await console.get('/operator/tokens')).text()).not.toContain(token);
    const id = (await env.DB.prepare("SELECT id FROM operator_token WHERE name = 'by-page'").first<string>(
      'id',
    ))!;
    const bearer = { authorization: `Bearer ${token}` };
    await env.DB.prepare('UPDATE person SET two_factor_enabled = 1 WHERE email = ?')
      .bind(console.email)
      .run();
    expect((await call('GET', '/nodes', bearer)).status).toBe(200);
    expect(await codeOf(call('POST', '/prices', bearer))).toBe('403 operator_scope_missing');
    await console.post(`/operator/tokens/${id}/revoke`, {});
    expect((await call('GET', '/nodes', bearer)).status).toBe(401);
  });

  it('refuses a token without a right, a wrong name, a name that was taken, and more than a year', async () => {
    const console = await operatorBrowser();
    const fields = { name: 'by-page-2', days: '30', read: 'on' };
    for (const change of [{ read: undefined }, { name: 'Not a name' }, { days: '366' }, { days: '0' }]) {
      const typed = Object.entries({ ...fields, ...change }).filter(([, text]) => text !== undefined);
      expect(
        (await console.post('/operator/tokens', Object.fromEntries(typed) as Record<string, string>)).status,
      ).toBe(422);
    }
    expect((await console.post('/operator/tokens', fields)).status).toBe(303);
    expect((await console.post('/operator/tokens', fields)).status).toBe(422);
  });
});

it('OPERATOR_TOKEN rotates: both are accepted for a time, then the new one alone', async () => {
  const NEXT = 'next-operator-token-0123456789';
  const next = { authorization: `Bearer ${NEXT}` };
  const status = async (using: Env, headers: Record<string, string>) =>
    (await call('GET', '/nodes', headers, {}, using)).status;
  const accepted = { ...env, OPERATOR_TOKEN_NEXT: NEXT } as Env;
  const inUse = { ...env, OPERATOR_TOKEN_NEXT: NEXT, USE_NEXT: 'OPERATOR_TOKEN' } as Env;
  for (const both of [
    accepted,
    inUse,
    { ...env, OPERATOR_TOKEN: NEXT, OPERATOR_TOKEN_PREVIOUS: OPERATOR.authorization.slice(7) } as Env,
  ])
    expect([await status(both, OPERATOR), await status(both, next)]).toEqual([200, 200]);
  const after = { ...env, OPERATOR_TOKEN: NEXT } as Env;
  expect([await status(after, OPERATOR), await status(after, next)]).toEqual([401, 200]);
});
