/** An account that an operator stops: its keys and tokens are refused by name, what runs ends, and it can go on. */
import { createExecutionContext } from 'cloudflare:test';
import { afterEach, describe, expect, it, vi } from 'vitest';
import app from '../../../worker/index.ts';
import { answer, freshNetwork, stream } from '../fake-node.ts';
import { auditOf } from '../fleet/fixtures.ts';
import { Customer, env, newModel } from '../gateway/client.ts';
import { operatorSend, outcome } from '../portal/operator/console.ts';

const network = freshNetwork();
const greets = () => stream(answer({ content: ['Hi'] }));
/** What an isolate knows of a key it believes for so long. */
const BELIEVED_MS = 5_001;

const change = (accountId: string, verb: 'suspend' | 'resume') =>
  operatorSend(`/accounts/${accountId}/${verb}`, {});

function later(ms: number): void {
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
  it('has its keys and tokens refused by name within ten seconds, and served again when it is resumed', async () => {
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
    later(BELIEVED_MS);
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
      const refused = await ask(path, key, init);
      const { error } = await refused.json<{ error: { code: string } }>();
      expect([path, refused.status, error.code]).toEqual([path, 403, 'account_suspended']);
    }

    expect(await (await change(customer.accountId, 'resume')).json()).toMatchObject({
      suspended_at_ms: null,
    });
    later(BELIEVED_MS);
    await node.report();
    expect((await customer.ask({ model })).status).toBe(200);
    const trail = (await auditOf(customer.accountId)).map(({ action, actor }) => [action, actor]);
    expect(trail).toEqual([
      ['account.suspended', 'operator-token'],
      ['account.resumed', 'operator-token'],
    ]);
  });

  it('says nothing to a key that is dead', async () => {
    const customer = await Customer.withCredit(undefined, { expiresAtMs: Date.now() - 1 });
    await change(customer.accountId, 'suspend');
    expect((await ask('/v1/key', customer.key)).status).toBe(401);
  });

  it('has the answers that run to their end', async () => {
    const model = newModel();
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    await network().add(model, async () => {
      await released;
      return greets();
    });
    const customer = await Customer.withCredit();
    const running = customer.ask({ model, stream: true });
    await vi.waitFor(async () => expect((await customer.balance()).heldNanoUsd).toBeGreaterThan(0));
    await change(customer.accountId, 'suspend');
    release();
    expect(await running).toMatchObject({ status: 200, content: 'Hi', record: { ending: 'finished' } });
  });

  it('is suspended once however often that is asked, and only where it exists', async () => {
    const { accountId } = await Customer.withCredit();
    const first = await (await change(accountId, 'suspend')).json();
    expect(await (await change(accountId, 'suspend')).json()).toEqual(first);
    expect(await auditOf(accountId)).toHaveLength(1);
    for (const id of ['acct_00000000000000000000000000', 'nonsense'])
      expect(await outcome(change(id, 'suspend'))).toBe('404 account_not_found');
    const refused = await app.fetch(
      new Request(`https://tollgate.test/operator/api/accounts/${accountId}/resume`, { method: 'POST' }),
      env,
      createExecutionContext(),
    );
    expect(refused.status).toBe(401);
  });
});
