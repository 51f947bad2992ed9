/**
 * Key management by the API: a management key creates keys with at most its own rights and limits, changes and revokes
 * them.
 */
import { beforeEach, describe, expect, it } from 'vitest';
import { usd } from '../../../worker/domain/money.ts';
import { call } from '../batches/fixtures.ts';
import { answer, freshNetwork, stream } from '../fake-node.ts';
import { Customer, env, newModel } from '../gateway/client.ts';

const network = freshNetwork();

interface Key {
  id: string;
  key: string;
  name: string;
  last_four: string;
  expires_at: string | null;
  revoked_at: string | null;
  [field: string]: unknown;
}

let manager: Customer;
beforeEach(async () => {
  manager = await Customer.withCredit(usd(1), { scope: 'management' });
});

async function ask<T = Key>(method: string, path: string, body?: object, caller: { key: string } = manager) {
  const response = await call(caller, method, path, body);
  return { status: response.status, body: (await response.json()) as T };
}
type ErrorBody = { error: { code: string; param: string | null; message: string } };

describe('a management key', () => {
  it('creates a key for inference, and shows it once', async () => {
    const model = newModel();
    await network().add(model, () => stream(answer({ content: ['Hi'] })));
    const created = await ask('POST', '/v1/keys', {
      name: 'app',
      models: [model],
      cap: '1.50',
      cap_period: 'day',
      requests_per_minute: 30,
      expires_at: '2031-01-01T00:00:00Z',
    });
    expect(created).toMatchObject({
      status: 201,
      body: {
        object: 'key',
        scope: 'inference',
        models: [model],
        cap: '1.50',
        cap_period: 'day',
        limits: { requests_per_minute: 30, tokens_per_minute: null, concurrency: 100 },
        expires_at: '2031-01-01T00:00:00.000Z',
      },
    });
    expect(created.body.key.endsWith(created.body.last_four)).toBe(true);
    const body = { model, messages: [{ role: 'user', content: 'Hi' }] };
    expect((await call(created.body, 'POST', '/v1/chat/completions', body)).status).toBe(200);
    const shown = await ask('GET', `/v1/keys/${created.body.id}`);
    expect(shown.body).not.toHaveProperty('key');
    const { results } = await env.DB.prepare('select * from audit where subject = ?')
      .bind(created.body.id)
      .all();
    expect(results).toMatchObject([{ actor: manager.keyId, action: 'key.created' }]);
  });

  it('cannot request answers, batches or tokens, but can read the balance', async () => {
    for (const path of ['/v1/chat/completions', '/v1/batches', '/v1/tokens']) {
      const rejected = await ask<ErrorBody>('POST', path, {});
      expect([path, rejected.status, rejected.body.error.code]).toEqual([path, 403, 'not_for_this_key']);
    }
    expect((await ask('GET', '/user/balance')).status).toBe(200);
  });

  it('lists keys in pages, changes only the given fields, and revokes for good', async () => {
    for (const name of ['a', 'b', 'c']) await ask('POST', '/v1/keys', { name });
    type List = { data: Key[]; has_more: boolean; last_id: string };
    const first = await ask<List>('GET', '/v1/keys?limit=2');
    expect(first.body.data.map(({ name }) => name)).toEqual(['c', 'b']);
    expect(first.body.has_more).toBe(true);
    const second = await ask<List>('GET', `/v1/keys?limit=2&after=${first.body.last_id}`);
    expect(second.body.data.map(({ name }) => name)).toEqual(['a', 'test']);
    const { id } = first.body.data[0]!;
    const changed = await ask('PATCH', `/v1/keys/${id}`, { cap: '2.00', tokens_per_minute: 5_000 });
    expect(changed.body).toMatchObject({
      name: 'c',
      cap: '2.00',
      limits: { requests_per_minute: 600, tokens_per_minute: 5_000 },
    });
    expect((await ask('PATCH', `/v1/keys/${id}`, { cap: null })).body).toMatchObject({ cap: null });
    for (let again = 0; again < 2; again++)
      expect((await ask('DELETE', `/v1/keys/${id}`)).body).toMatchObject({ deleted: true });
    expect((await ask('GET', `/v1/keys/${id}`)).body.revoked_at).not.toBeNull();
  });

  it('rotates a key: the new one has the old one’s terms, and the old one works for the given overlap', async () => {
    const { body: old } = await ask('POST', '/v1/keys', { name: 'app', cap: '3.00' });
    const before = Date.now();
    const { status, body: fresh } = await ask('POST', `/v1/keys/${old.id}/rotate`, { overlap_seconds: 60 });
    const afterMs = Date.now();
    expect(status).toBe(201);
    expect(fresh).toMatchObject({ name: 'app', cap: '3.00', expires_at: null });
    expect(fresh.key).not.toBe(old.key);
    const endsMs = Date.parse((await ask('GET', `/v1/keys/${old.id}`)).body.expires_at!);
    expect(endsMs - before).toBeGreaterThanOrEqual(60_000);
    expect(endsMs - afterMs).toBeLessThanOrEqual(60_000);
    await ask('POST', `/v1/keys/${fresh.id}/rotate`, {});
    expect((await ask('GET', '/v1/key', undefined, fresh)).status).toBe(401);
  });
});

describe('a management key cannot grant more than it has', () => {
  beforeEach(async () => {
    manager = await Customer.withCredit(usd(1), {
      scope: 'management',
      models: ['model-1'],
      capNanoUsd: usd(5),
      capPeriod: 'month',
      requestsPerMinute: 50,
      tokensPerMinute: 1_000,
      concurrency: 5,
      expiresAtMs: Date.parse('2031-01-01T00:00:00Z'),
    });
  });

  it('by leaving fields out', async () => {
    expect((await ask('POST', '/v1/keys', { name: 'app' })).body).toMatchObject({
      models: ['model-1'],
      cap: '5.00',
      limits: { requests_per_minute: 50, tokens_per_minute: 1_000, concurrency: 5 },
      expires_at: '2031-01-01T00:00:00.000Z',
    });
  });

  it.each([
    [{ models: null }, 'models'],
    [{ models: ['model-2'] }, 'models'],
    [{ cap: null }, 'cap'],
    [{ cap: '5.000000001' }, 'cap'],
    [{ cap_period: 'day' }, 'cap_period'],
    [{ requests_per_minute: 51 }, 'requests_per_minute'],
    [{ tokens_per_minute: null }, 'tokens_per_minute'],
    [{ concurrency: 6 }, 'concurrency'],
    [{ expires_at: null }, 'expires_at'],
    [{ expires_at: '2031-01-01T00:00:00.001Z' }, 'expires_at'],
  ])('%j', async (terms, param) => {
    const rejected = await ask<ErrorBody>('POST', '/v1/keys', { name: 'app', ...terms });
    expect([rejected.status, rejected.body.error.param]).toEqual([400, param]);
    const { body: key } = await ask('POST', '/v1/keys', { name: 'app' });
    const patched = await ask<ErrorBody>('PATCH', `/v1/keys/${key.id}`, terms);
    expect([patched.status, patched.body.error.param]).toEqual([400, param]);
  });
});

describe('invalid requests', () => {
  it.each([
    [{}, 'name'],
    [{ name: '' }, 'name'],
    [{ name: 'x'.repeat(81) }, 'name'],
    [{ name: 'a', cap: 5 }, 'cap'],
    [{ name: 'a', cap: '-1' }, 'cap'],
    [{ name: 'a', cap: '1e9' }, 'cap'],
    [{ name: 'a', cap: '123456789012345678901' }, 'cap'],
    [{ name: 'a', requests_per_minute: 1.5 }, 'requests_per_minute'],
    [{ name: 'a', requests_per_minute: '60' }, 'requests_per_minute'],
    [{ name: 'a', concurrency: 0 }, 'concurrency'],
    [{ name: 'a', models: ['nobody'] }, 'models[0]'],
    [{ name: 'a', models: [] }, 'models'],
    [{ name: 'a', expires_at: 'tomorrow' }, 'expires_at'],
  ])('%j gets an error that names its field', async (body, param) => {
    const rejected = await ask<ErrorBody>('POST', '/v1/keys', body);
    expect([rejected.status, rejected.body.error.param]).toEqual([400, param]);
  });

  it('cannot reach keys of other accounts, unknown ids or management keys, nor be made with an inference key', async () => {
    const stranger = await Customer.withCredit(usd(0), { scope: 'management' });
    const { body: key } = await ask('POST', '/v1/keys', { name: 'mine' });
    for (const id of [key.id, "key_' or 1=1 --", '__proto__']) {
      for (const method of ['GET', 'PATCH', 'DELETE']) {
        const body = method === 'PATCH' ? { name: 'theirs' } : undefined;
        const path = `/v1/keys/${encodeURIComponent(id)}`;
        expect((await ask<ErrorBody>(method, path, body, stranger)).status).toBe(404);
      }
    }
    const itself = await ask<ErrorBody>('PATCH', `/v1/keys/${manager.keyId}`, { cap: null });
    expect([itself.status, itself.body.error.code]).toEqual([403, 'key_not_managed']);
    const app = await Customer.withCredit(usd(0));
    for (const [method, path] of [
      ['GET', '/v1/keys'],
      ['POST', '/v1/keys'],
      ['DELETE', `/v1/keys/${app.keyId}`],
    ] as const) {
      const body = method === 'POST' ? { name: 'more' } : undefined;
      expect((await ask<ErrorBody>(method, path, body, app)).status).toBe(403);
    }
  });
});
