/**
 * Key management by the API: a management key creates keys with at most its own rights and limits, changes and revokes
 * them.
 */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { database } from '../../../worker/db/client.ts';
import { createKey, findKey, type NewKey, rotateKey } from '../../../worker/db/keys.ts';
import { formatUsd, nanoUsd, usd } from '../../../worker/domain/money.ts';
import { config } from '../../../worker/env.ts';
import { pepperKey } from '../../../worker/tokens/pepper.ts';
import { call } from '../batches/fixtures.ts';
import { answer, freshNetwork, stream } from '../fake-node.ts';
import { Customer, costOf, env, newModel } from '../gateway/client.ts';
import { addOwner } from '../identity/add-owner.ts';

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
afterEach(() => {
  vi.useRealTimers();
});
beforeEach(async () => {
  manager = await Customer.withCredit(usd(1), { scope: 'management' });
});

async function ask<T = Key>(method: string, path: string, body?: object, caller: { key: string } = manager) {
  const response = await call(caller, method, path, body);
  return { status: response.status, body: (await response.json()) as T };
}
/** A further management key of an account. */
async function newManager(accountId: string, terms: Partial<NewKey>): Promise<{ key: string; id: string }> {
  const { key, row } = await createKey(database(env), await pepperKey(config(env)), {
    accountId,
    name: 'manager',
    scope: 'management',
    nowMs: Date.now(),
    ...terms,
  });
  return { key, id: row.id };
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

describe('a key that is over', () => {
  const make = async (body: object = {}) => (await ask('POST', '/v1/keys', { name: 'app', ...body })).body;

  it('stays over: neither rotation nor a change revives a revoked or expired key', async () => {
    const revoked = await make();
    await ask('DELETE', `/v1/keys/${revoked.id}`);
    const expired = await make({ expires_at: new Date(Date.now() + 3_600_000).toISOString() });
    await env.DB.prepare('update api_key set expires_at_ms = 1 where id = ?').bind(expired.id).run();
    for (const { id } of [revoked, expired]) {
      const rotate = await ask<ErrorBody>('POST', `/v1/keys/${id}/rotate`, {});
      const patch = await ask<ErrorBody>('PATCH', `/v1/keys/${id}`, { expires_at: null });
      for (const { status, body } of [rotate, patch])
        expect([status, body.error.code]).toEqual([409, 'key_not_active']);
    }
    for (const key of [revoked, expired])
      expect((await ask('GET', '/v1/key', undefined, key)).status).toBe(401);
    expect((await ask<{ data: Key[] }>('GET', '/v1/keys')).body.data).toHaveLength(3);
  });

  it('has one successor, however many rotate it at once, and cannot outlive its overlap', async () => {
    const old = await make();
    const rotate = () => ask<Key & ErrorBody>('POST', `/v1/keys/${old.id}/rotate`, { overlap_seconds: 600 });
    const answers = await Promise.all([rotate(), rotate(), rotate()]);
    expect(answers.map(({ status }) => status).sort()).toEqual([201, 409, 409]);
    const successor = answers.find(({ status }) => status === 201)!.body;
    const again = await rotate();
    expect(again).toMatchObject({ status: 409, body: { error: { code: 'key_rotated' } } });
    expect(again.body.error.message).toContain(successor.id);
    const extended = await ask<ErrorBody>('PATCH', `/v1/keys/${old.id}`, { expires_at: null });
    expect(extended).toMatchObject({ status: 409, body: { error: { code: 'key_rotated' } } });
    expect((await ask('PATCH', `/v1/keys/${old.id}`, { name: 'old' })).body).toMatchObject({
      name: 'old',
      rotated_to: successor.id,
    });
    expect(successor).toMatchObject({ created_by: manager.keyId, first_key: old.id, rotated_to: null });
  });

  it('lets its holder make nothing: a management key revoked since it was cached', async () => {
    const key = await make();
    await env.DB.prepare('update api_key set revoked_at_ms = 1 where id = ?').bind(manager.keyId).run();
    // the isolate still has the management key's row in its cache
    expect((await ask('GET', `/v1/keys/${key.id}`)).status).toBe(200);
    expect((await ask('POST', '/v1/keys', { name: 'late' })).status).toBe(401);
    expect((await ask('POST', `/v1/keys/${key.id}/rotate`, {})).status).toBe(409);
    expect((await ask('PATCH', `/v1/keys/${key.id}`, { cap: '9.00' })).status).toBe(409);
    const { results } = await env.DB.prepare('select name, cap_nano_usd from api_key where account_id = ?')
      .bind(manager.accountId)
      .all();
    expect(results).toEqual([
      { name: 'test', cap_nano_usd: null },
      { name: 'app', cap_nano_usd: null },
    ]);
  });
});

describe('caps follow the money', () => {
  const COST = costOf(10, 2);
  let model: string;
  beforeEach(async () => {
    model = newModel();
    await network().add(model, () => stream(answer({ prompt: 10, content: ['Hi', ' there'] })));
  });
  const chat = async (key: { key: string }) => {
    const body = { model, messages: [{ role: 'user', content: 'Hi' }], max_tokens: 2 };
    const response = await call(key, 'POST', '/v1/chat/completions', body);
    const { error } = (await response.json()) as Partial<ErrorBody>;
    return error?.code ?? response.status;
  };
  const capOf = (times: number) => formatUsd(nanoUsd(COST * times));

  it.each(['day', 'month', 'total'])(
    'a key stopped at its cap (%s) stays stopped after a rotation',
    async (period) => {
      const { body: first } = await ask('POST', '/v1/keys', {
        name: 'app',
        cap: capOf(1),
        cap_period: period,
      });
      expect(await chat(first)).toBe(200);
      expect(await chat(first)).toBe('key_cap_reached');
      const { body: second } = await ask('POST', `/v1/keys/${first.id}/rotate`, { overlap_seconds: 600 });
      const { body: third } = await ask('POST', `/v1/keys/${second.id}/rotate`, {});
      for (const key of [first, third]) expect(await chat(key)).toBe('key_cap_reached');
      const { body: now } = await ask('GET', '/v1/key', undefined, third);
      expect(now).toMatchObject({ used: capOf(1), remaining: '0.00' });
      // a higher cap counts what the whole lineage has spent
      await ask('PATCH', `/v1/keys/${third.id}`, { cap: capOf(2) });
      vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 5_001 });
      expect(await chat(third)).toBe(200);
      expect(await chat(third)).toBe('key_cap_reached');
    },
  );

  it('keys of a capped management key share its cap, and rotations do not widen it', async () => {
    manager = await Customer.withCredit(usd(1), { scope: 'management', capNanoUsd: nanoUsd(2 * COST) });
    const keys: Key[] = [];
    for (let n = 0; n < 5; n++) keys.push((await ask('POST', '/v1/keys', { name: `app ${n}` })).body);
    expect([await chat(keys[0]!), await chat(keys[1]!)]).toEqual([200, 200]);
    for (const key of keys) expect(['key_cap_reached', 'manager_cap_reached']).toContain(await chat(key));
    const { body: fresh } = await ask('POST', `/v1/keys/${keys[2]!.id}/rotate`, {});
    expect(await chat(fresh)).toBe('manager_cap_reached');
    expect((await ask('GET', '/v1/key', undefined, fresh)).body).toMatchObject({
      used: '0.00',
      shared_cap: { key_id: manager.keyId, used: capOf(2), remaining: '0.00' },
    });
    expect((await manager.wallet.load({ keyId: null, capPeriod: 'total' })).spentNanoUsd).toBe(2 * COST);
    // short-lived tokens are paid by their key
    const minted = await call(keys[3]!, 'POST', '/v1/tokens', { cap: '0.10' });
    expect(await chat({ key: ((await minted.json()) as { token: string }).token })).toBe(
      'manager_cap_reached',
    );
  });

  it('a management key that was rotated, and its successor, share one cap', async () => {
    manager = await Customer.withCredit(usd(1), { scope: 'management', capNanoUsd: nanoUsd(COST) });
    const { body: before } = await ask('POST', '/v1/keys', { name: 'before' });
    const row = await findKey(database(env), { accountId: manager.accountId, keyId: manager.keyId });
    const owner = await addOwner(manager.accountId);
    const successor = await rotateKey(database(env), await pepperKey(config(env)), {
      row: row!,
      overlapMs: 60_000,
      actor: owner,
      nowMs: Date.now(),
    });
    const { body: after } = await ask('POST', '/v1/keys', { name: 'after' }, successor!);
    expect(await chat(before)).toBe(200);
    expect(await chat(after)).toBe('manager_cap_reached');
  });

  it('a capped management key gets no secret that spends from another cap', async () => {
    const other = await newManager(manager.accountId, { capNanoUsd: nanoUsd(COST) });
    const { body: theirs } = await ask('POST', '/v1/keys', { name: 'theirs', cap: capOf(1) }, manager);
    // its maker has no cap, yet the one that rotates it has: from then on its spend counts there, too
    await env.DB.prepare('update api_key set manager_id = null where id = ?').bind(theirs.id).run();
    const { body: taken } = await ask('POST', `/v1/keys/${theirs.id}/rotate`, {}, other);
    expect(taken).toMatchObject({ shares_cap_of: other.id });
    const third = await newManager(manager.accountId, { capNanoUsd: nanoUsd(COST) });
    const refused = await ask<ErrorBody>('POST', `/v1/keys/${taken.id}/rotate`, {}, third);
    expect([refused.status, refused.body.error.code]).toEqual([403, 'key_of_other_manager']);
    expect((await ask('POST', `/v1/keys/${taken.id}/rotate`, {}, manager)).body).toMatchObject({
      shares_cap_of: other.id,
    });
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
