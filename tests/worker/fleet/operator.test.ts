/** The operator API: join tokens, nodes, operators, grants and the audit log. */
import { createExecutionContext } from 'cloudflare:test';
import { decodeJwt } from 'jose';
import { describe, expect, it, vi } from 'vitest';
import app from '../../../worker/index.ts';
import { auditOf, enrolledNode, env, newAccount, OPERATOR, postJson, R1, server } from './fixtures.ts';

const API = '/operator/api';

function get(path: string) {
  return server.request(API + path, { headers: OPERATOR }, env);
}

function post(path: string, body: unknown = {}) {
  return postJson(API + path, body, OPERATOR);
}

async function codeOf(response: Response) {
  const { error } = await response.json<{ error: { code: string } }>();
  return [response.status, error.code];
}

describe('the operator token', () => {
  it.each([
    ['missing', {}],
    ['wrong', { authorization: 'Bearer test-operator-token-0123456780' }],
    ['a part of the right one', { authorization: 'Bearer test-operator-token' }],
    ['empty', { authorization: 'Bearer ' }],
    ['of another scheme', { authorization: 'Basic test-operator-token-0123456789' }],
  ])('is needed everywhere: %s', async (_, headers) => {
    const routes: [string, string][] = [
      ['POST', '/join-tokens'],
      ['GET', '/nodes'],
      ['POST', '/nodes/node_x/remove'],
      ['POST', '/operators'],
      ['POST', '/accounts/acct_x/grants'],
      ['GET', '/audit'],
      ['GET', '/anything-else'],
    ];
    for (const [method, path] of routes) {
      const response = await server.request(API + path, { method, headers }, env);
      expect(await codeOf(response)).toEqual([401, 'operator_token_invalid']);
    }
  });
});

it('fails as the rest of the Worker does: with a JSON error, logged with its request id', async () => {
  const DB = {
    prepare: () => {
      throw new Error('D1 is away');
    },
  } as unknown as D1Database;
  const logged = vi.spyOn(console, 'error').mockImplementation(() => undefined);
  const request = new Request(`https://tollgate.test${API}/audit`, { headers: OPERATOR });
  const response = await app.fetch(request, { ...env, DB }, createExecutionContext());
  expect(await codeOf(response)).toEqual([500, 'internal_error']);
  expect(logged.mock.calls.flat().join()).toContain(response.headers.get('x-request-id'));
  logged.mockRestore();
});

describe('join tokens', () => {
  it('name the edge, the model and the hardware, and are valid for a day', async () => {
    const response = await post('/join-tokens', { name: 'h800 a', model: R1, hardware: '8xh800-pair' });
    expect(response.status).toBe(201);
    const { token, expires_at_ms } = await response.json<{ token: string; expires_at_ms: number }>();
    const claims = decodeJwt(token);
    expect(claims).toMatchObject({
      iss: 'tollgate-edge',
      aud: 'tollgate-join',
      edge: 'https://tollgate.test',
      name: 'h800 a',
      model: R1,
      hardware: '8xh800-pair',
      exp: Math.floor(expires_at_ms / 1_000),
    });
    expect(expires_at_ms - Date.now()).toBeGreaterThan(86_300_000);
    expect(await auditOf(claims.jti!)).toMatchObject([
      { action: 'join_token.created', actor: 'operator-token' },
    ]);
  });

  it('are refused for unknown models and hardware, and for names that could break a page', async () => {
    const good = { name: 'a', model: R1, hardware: '8xh200' };
    expect(await codeOf(await post('/join-tokens', { ...good, model: 'gpt-2' }))).toEqual([
      404,
      'model_not_found',
    ]);
    for (const change of [{ hardware: '1xa100' }, { name: '<b>' }, { name: '' }, { name: 'x'.repeat(64) }]) {
      expect(await codeOf(await post('/join-tokens', { ...good, ...change }))).toEqual([400, 'body_invalid']);
    }
  });
});

describe('nodes', () => {
  it('are drained, quarantined, restored and removed, and each change is audited once', async () => {
    const { id } = await enrolledNode();
    for (const [action, state] of [
      ['drain', 'draining'],
      ['drain', 'draining'],
      ['restore', 'active'],
      ['quarantine', 'quarantined'],
      ['quarantine', 'quarantined'],
      ['remove', 'removed'],
      ['remove', 'removed'],
    ]) {
      const response = await post(`/nodes/${id}/${action}`);
      expect([response.status, await response.json()]).toEqual([200, { id, state }]);
      const { nodes } = await (await get('/nodes')).json<{ nodes: { id: string; state: string }[] }>();
      expect(nodes.find((node) => node.id === id)?.state).toBe(state);
    }
    expect(
      (await auditOf(id)).map(({ action }) => action).filter((action) => action !== 'node.enrolled'),
    ).toEqual(['node.draining', 'node.active', 'node.quarantined', 'node.removed']);
  });

  it('that were removed stay removed', async () => {
    const { id } = await enrolledNode();
    await post(`/nodes/${id}/remove`);
    expect(await codeOf(await post(`/nodes/${id}/restore`))).toEqual([404, 'node_not_found']);
    expect(await codeOf(await post(`/nodes/${id}/drain`))).toEqual([404, 'node_not_found']);
    expect(await codeOf(await post(`/nodes/${id}/quarantine`))).toEqual([404, 'node_not_found']);
  });

  it('that do not exist are not found', async () => {
    expect(await codeOf(await post('/nodes/node_00000000000000000000000000/drain'))).toEqual([
      404,
      'node_not_found',
    ]);
    expect((await post('/nodes/node_x/explode')).status).toBe(404);
  });
});

describe('operators', () => {
  it('are people who have signed up before', async () => {
    await env.DB.prepare(
      'insert into person (id, name, email, created_at, updated_at) values (?, ?, ?, 1, 1)',
    )
      .bind('person_1', 'Ada', 'ada@example.com')
      .run();
    expect((await post('/operators', { email: 'Ada@Example.com' })).status).toBe(200);
    const row = await env.DB.prepare('select role from person where id = ?').bind('person_1').first();
    expect(row).toEqual({ role: 'operator' });
    expect(await auditOf('person_1')).toMatchObject([{ action: 'person.made_operator' }]);
    expect(await codeOf(await post('/operators', { email: 'nobody@example.com' }))).toEqual([
      404,
      'person_not_found',
    ]);
    expect(await codeOf(await post('/operators', { email: "' or 1=1" }))).toEqual([400, 'body_invalid']);
  });
});

describe('grants', () => {
  it('credit an account once per grant id', async () => {
    const accountId = await newAccount();
    const grant = { grant_id: 'welcome', amount_usd: '12.345678901' };
    const first = await post(`/accounts/${accountId}/grants`, grant);
    expect([first.status, await first.json()]).toEqual([
      201,
      { grant_id: 'welcome', amount_usd: '12.345678901', balance_usd: '12.345678901', entry_seq: 1 },
    ]);
    await post(`/accounts/${accountId}/grants`, grant);
    const balance = await env.WALLET.getByName(accountId).balance();
    expect(balance).toMatchObject({ grantedNanoUsd: 12_345_678_901, paidNanoUsd: 0 });
    expect((await auditOf(accountId))[0]).toMatchObject({
      action: 'account.granted',
      actor: 'operator-token',
    });
  });

  it('are refused when the grant id was used with another amount', async () => {
    const accountId = await newAccount();
    await post(`/accounts/${accountId}/grants`, { grant_id: 'g', amount_usd: '1' });
    const other = await post(`/accounts/${accountId}/grants`, { grant_id: 'g', amount_usd: '2' });
    expect(await codeOf(other)).toEqual([409, 'grant_id_taken']);
    expect((await env.WALLET.getByName(accountId).balance()).grantedNanoUsd).toBe(1_000_000_000);
  });

  it.each(['0', '-1', '1e3', '10000.01', '99999999', '0.0000000001', 'NaN', '', -5, 1e-7, null])(
    'refuse %s dollars',
    async (amount_usd) => {
      const accountId = await newAccount();
      const response = await post(`/accounts/${accountId}/grants`, { grant_id: 'g', amount_usd });
      expect(await codeOf(response)).toEqual([400, 'body_invalid']);
    },
  );

  it('are refused for accounts that do not exist', async () => {
    for (const id of ['acct_00000000000000000000000000', 'nonsense']) {
      const response = await post(`/accounts/${id}/grants`, { grant_id: 'g', amount_usd: 5 });
      expect(await codeOf(response)).toEqual([404, 'account_not_found']);
    }
  });
});

describe('the audit log', () => {
  it('shows the newest rows first, as many as asked for', async () => {
    const { id } = await enrolledNode();
    await post(`/nodes/${id}/drain`);
    await post(`/nodes/${id}/restore`);
    type Row = { action: string; subject: string; actor: string; detail: object };
    const { audit } = await (await get('/audit?limit=1000')).json<{ audit: Row[] }>();
    const own = audit.filter(({ subject, actor }) => subject === id && actor === 'operator-token');
    expect(own.slice(0, 2)).toMatchObject([
      { action: 'node.active', detail: { from: 'draining' } },
      { action: 'node.draining', detail: { from: 'active' } },
    ]);
    const one = await (await get('/audit?limit=1')).json<{ audit: Row[] }>();
    expect(one.audit).toHaveLength(1);
    const all = await (await get('/audit?limit=-5')).json<{ audit: unknown[] }>();
    expect(all.audit.length).toBeGreaterThan(0);
  });
});
