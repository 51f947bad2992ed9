/**
 * Authentication: keys that are malformed, unknown, expired, revoked or not allowed to use the model, and their cost in
 * D1 queries.
 */

import { createExecutionContext } from 'cloudflare:test';
import { describe, expect, it, vi } from 'vitest';
import { database } from '../../../worker/db/client.ts';
import { revokeKey } from '../../../worker/db/keys.ts';
import { newApiKey } from '../../../worker/domain/api-key.ts';
import app from '../../../worker/index.ts';
import { answer, freshNetwork, stream } from '../fake-node.ts';
import { Customer, env, newModel } from './client.ts';

const network = freshNetwork();
const pool = (model: string) => network().add(model, () => stream(answer({ content: ['Hi'] })));

async function ask(authorization: string | null, model: string) {
  const prepare = vi.spyOn(env.DB, 'prepare');
  const request = new Request('https://tollgate.test/v1/chat/completions', {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...(authorization !== null && { authorization }) },
    body: JSON.stringify({ model, messages: [{ role: 'user', content: 'Hello' }] }),
  });
  const response = await app.fetch(request, env, createExecutionContext());
  const keyQueries = prepare.mock.calls.filter(([sql]) => sql.includes('api_key')).length;
  prepare.mockRestore();
  return { status: response.status, headers: response.headers, text: await response.text(), keyQueries };
}

describe('a key that', () => {
  it('is missing or malformed is rejected without a query to D1', async () => {
    const key = newApiKey();
    const typo = key.slice(0, 20) + (key[20] === 'A' ? 'B' : 'A') + key.slice(21);
    const malformed = [null, '', 'Bearer', 'Bearer ', `Basic ${key}`, key, `Bearer ${typo}`];
    malformed.push(
      `Bearer ${key.slice(0, -1)}`,
      `Bearer ${key}x`,
      `Bearer ${key} ${key}`,
      'Bearer sk-proj-1',
    );
    for (const authorization of malformed) {
      const { status, keyQueries } = await ask(authorization, 'any');
      expect([authorization, status, keyQueries]).toEqual([authorization, 401, 0]);
    }
  });

  it('is unknown, expired or revoked gets the same error', async () => {
    const model = newModel();
    await pool(model);
    const expired = await Customer.withCredit(undefined, { expiresAtMs: Date.now() - 1 });
    const revoked = await Customer.withCredit();
    const { accountId, keyId } = revoked;
    expect(await revokeKey(database(env), { accountId, keyId, actor: 'person', nowMs: Date.now() })).toBe(
      true,
    );
    const responses = [];
    for (const key of ['nonsense', newApiKey(), expired.key, revoked.key]) {
      responses.push(await ask(`Bearer ${key}`, model));
    }
    expect(responses.map(({ status }) => status)).toEqual([401, 401, 401, 401]);
    expect(responses.map(({ keyQueries }) => keyQueries)).toEqual([0, 1, 1, 1]);
    expect(new Set(responses.map(({ text }) => text)).size).toBe(1);
    expect(JSON.parse(responses[0]!.text)).toMatchObject({
      error: { type: 'authentication_error', code: 'invalid_api_key', param: null },
    });
    expect(responses[0]!.headers.get('x-should-retry')).toBe('false');
    expect(network().calls).toEqual([]);
  });

  it('is unknown is looked up once in five seconds', async () => {
    const authorization = `Bearer ${newApiKey()}`;
    expect((await ask(authorization, 'any')).keyQueries).toBe(1);
    expect((await ask(authorization, 'any')).keyQueries).toBe(0);
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 5_001 });
    expect((await ask(authorization, 'any')).keyQueries).toBe(1);
    vi.useRealTimers();
  });

  it('is revoked or expires while in use stops working within ten seconds', async () => {
    const model = newModel();
    const node = await pool(model);
    const revoked = await Customer.withCredit();
    const expiring = await Customer.withCredit(undefined, { expiresAtMs: Date.now() + 5_000 });
    expect((await revoked.ask({ model })).status).toBe(200);
    expect((await expiring.ask({ model })).status).toBe(200);
    const { accountId, keyId } = revoked;
    await revokeKey(database(env), { accountId, keyId, actor: 'person', nowMs: Date.now() });
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 5_001 });
    await node.report();
    expect((await ask(`Bearer ${revoked.key}`, model)).status).toBe(401);
    expect((await ask(`Bearer ${expiring.key}`, model)).status).toBe(401);
    vi.useRealTimers();
  });

  it('does not allow the model is rejected with 403, and nothing is held', async () => {
    const [allowed, other] = [newModel(), newModel()];
    await pool(allowed);
    await pool(other);
    const customer = await Customer.withCredit(undefined, { models: [allowed] });
    expect((await customer.ask({ model: allowed })).status).toBe(200);
    const { status, chunks, record } = await customer.ask({ model: other });
    expect(status).toBe(403);
    expect(chunks[0]!.error).toMatchObject({ type: 'permission_error', code: 'model_not_allowed' });
    expect(record).toBeNull();
    expect(network().calls).toHaveLength(1);
  });

  it('allows two requests per minute is refused the third, with a Retry-After', async () => {
    const model = newModel();
    await pool(model);
    const customer = await Customer.withCredit(undefined, { requestsPerMinute: 2 });
    const remaining = [];
    for (let i = 0; i < 2; i++) {
      const { headers } = await customer.ask({ model });
      remaining.push(headers.get('x-ratelimit-remaining-requests'));
    }
    expect(remaining).toEqual(['1', '0']);
    const { status, headers, chunks } = await customer.ask({ model });
    expect(status).toBe(429);
    expect(Number(headers.get('retry-after'))).toBeGreaterThan(50);
    expect(Number(headers.get('retry-after'))).toBeLessThanOrEqual(60);
    expect(headers.get('x-ratelimit-remaining-requests')).toBe('0');
    expect(chunks[0]!.error).toMatchObject({ type: 'rate_limit_exceeded', code: 'requests_per_minute' });
  });
});
