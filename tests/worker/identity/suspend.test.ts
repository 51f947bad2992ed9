/**
 * Suspension of accounts by an operator: keys and tokens get an error of their own, running requests finish, and it can
 * be undone.
 */
import { createExecutionContext } from 'cloudflare:test';
import { afterEach, describe, expect, it, vi } from 'vitest';
import app from '../../../worker/index.ts';
import { answer, freshNetwork, stream } from '../fake-node.ts';
import { auditOf } from '../fleet/fixtures.ts';
import { Customer, env, newModel } from '../gateway/client.ts';
import { operatorSend, outcomeOf } from '../portal/operator/console.ts';
import { waitFor } from '../wait.ts';

const network = freshNetwork();
const greets = () => stream(answer({ content: ['Hi'] }));
/** Just longer than an isolate caches a key. */
const KEY_CACHE_MS = 5_001;

const change = (accountId: string, verb: 'suspend' | 'resume') =>
  operatorSend(`/accounts/${accountId}/${verb}`, {});

function passTime(ms: number): void {
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + ms });
}

function ask(path: string, key: string, init: RequestInit = {}) {
  const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' };
  return app.fetch(
    new Request(`https://tollgate.test${path}`, { ...init, headers }),
    env,
    createExecutionContext(),
  );
}

afterEach(() => {
  vi.useRealTimers();
});

describe('a suspended account', () => {
  it('has its keys and tokens rejected with an error of its own within ten seconds, until it is resumed', async () => {
    const model = newModel();
    const node = await network().add(model, greets);
    const customer = await Customer.withCredit();
    const minted = await ask('/v1/tokens', customer.key, {
      method: 'POST',
      body: JSON.stringify({ cap: '0.10', expires_in: 600 }),
    });
    const { token } = await minted.json<{ token: string }>();
    expect((await customer.ask({ model })).status).toBe(200);

    const suspended = await change(customer.accountId, 'suspend');
    expect(await suspended.json()).toEqual({ id: customer.accountId, suspended_at_ms: expect.any(Number) });
    passTime(KEY_CACHE_MS);
    await node.report();
    const { status, chunks, headers, record } = await customer.ask({ model });
    expect(status).toBe(403);
    expect(chunks[0]!.error).toMatchObject({
      type: 'permission_error',
      code: 'account_suspended',
      param: null,
    });
    expect(chunks[0]!.error!.message).toMatch(/suspended.*operator.*@|suspended.*operator.*https/);
    expect(headers.get('x-should-retry')).toBe('false');
    expect(record).toBeNull();
    const body = JSON.stringify({ model, max_tokens: 5, messages: [{ role: 'user', content: 'Hi' }] });
    for (const [path, key, init] of [
      ['/v1/chat/completions', token, { method: 'POST', body }],
      ['/anthropic/v1/messages', customer.key, { method: 'POST', body }],
      ['/v1/usage', customer.key, {}],
      ['/v1/key', customer.key, {}],
      ['/user/balance', customer.key, {}],
      ['/v1/files', customer.key, {}],
      ['/v1/batches', customer.key, {}],
      ['/v1/tokens', customer.key, { method: 'POST', body: '{}' }],
    ] as const) {
      const rejected = await ask(path, key, init);
      const { error } = await rejected.json<{ error: { code: string } }>();
      expect([path, rejected.status, error.code]).toEqual([path, 403, 'account_suspended']);
    }

    expect(await (await change(customer.accountId, 'resume')).json()).toMatchObject({
      suspended_at_ms: null,
    });
    passTime(KEY_CACHE_MS);
    await node.report();
    expect((await customer.ask({ model })).status).toBe(200);
    const trail = (await auditOf(customer.accountId)).map(({ action, actor }) => [action, actor]);
    expect(trail).toEqual([
      ['account.suspended', 'operator-token'],
      ['account.resumed', 'operator-token'],
    ]);
  });

  it('does not reveal its suspension to an expired key', async () => {
    const customer = await Customer.withCredit(undefined, { expiresAtMs: Date.now() - 1 });
    await change(customer.accountId, 'suspend');
    expect((await ask('/v1/key', customer.key)).status).toBe(401);
  });

  it('gets its running answers to their end', async () => {
    const model = newModel();
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    await network().add(model, async () => {
      await released;
      return greets();
    });
    const customer = await Customer.withCredit();
    const running = customer.ask({ model, stream: true });
    await waitFor(async () => expect((await customer.balance()).heldNanoUsd).toBeGreaterThan(0));
    await change(customer.accountId, 'suspend');
    release();
    expect(await running).toMatchObject({ status: 200, content: 'Hi', record: { ending: 'finished' } });
  });

  it('is suspended once however often that is requested, and only if it exists', async () => {
    const { accountId } = await Customer.withCredit();
    const first = await (await change(accountId, 'suspend')).json();
    expect(await (await change(accountId, 'suspend')).json()).toEqual(first);
    expect(await auditOf(accountId)).toHaveLength(1);
    for (const id of ['acct_00000000000000000000000000', 'nonsense'])
      expect(await outcomeOf(change(id, 'suspend'))).toBe('404 account_not_found');
    const rejected = await app.fetch(
      new Request(`https://tollgate.test/operator/api/accounts/${accountId}/resume`, { method: 'POST' }),
      env,
      createExecutionContext(),
    );
    expect(rejected.status).toBe(401);
  });
});
