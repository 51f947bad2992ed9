/** Short-lived tokens: their rights, their spending cap and their expiry. */
import { createExecutionContext } from 'cloudflare:test';
import { SignJWT, UnsecuredJWT } from 'jose';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { nanoUsd, usd } from '../../../worker/domain/money.ts';
import { config } from '../../../worker/env.ts';
import app from '../../../worker/index.ts';
import { signClientToken } from '../../../worker/tokens/client-claims.ts';
import { signJoinToken } from '../../../worker/tokens/join-token.ts';
import { requestToken } from '../../../worker/tokens/request-token.ts';
import { call } from '../batches/fixtures.ts';
import { answer, endless, freshNetwork, stream } from '../fake-node.ts';
import { Customer, costOf, env, newModel } from '../gateway/client.ts';

const network = freshNetwork();
afterEach(() => {
  vi.useRealTimers();
});

let model: string;
let customer: Customer;
beforeEach(async () => {
  model = newModel();
  customer = await Customer.withCredit(usd(1));
});

const greets = () => stream(answer({ prompt: 10, content: ['Hi', ' there'] }));
const COST = costOf(10, 2);

interface Minted {
  id: string;
  token: string;
  cap: string;
  expires_at: string;
  models: string[] | null;
}

async function mint(body: object = { cap: '0.10' }, caller: { key: string } = customer) {
  const response = await call(caller, 'POST', '/v1/tokens', body);
  return { status: response.status, body: (await response.json()) as Minted };
}

const bearer = (token: string) => ({ key: token });
const chat = (caller: { key: string }, over: object = {}) =>
  call(caller, 'POST', '/v1/chat/completions', {
    model,
    messages: [{ role: 'user', content: 'Hi' }],
    max_tokens: 2,
    ...over,
  });

describe('a token', () => {
  it('requests answers at the expense of its key’s account, within its cap, and can read what is left', async () => {
    await network().add(model, greets);
    const { body } = await mint({ cap: '0.10', expires_in: 60 });
    expect(body).toMatchObject({ object: 'token', cap: '0.10', models: null });
    expect((await chat(bearer(body.token))).status).toBe(200);
    expect(await customer.balance()).toMatchObject({ grantedNanoUsd: usd(1) - COST });
    const remaining = await call(bearer(body.token), 'GET', '/v1/key');
    expect(await remaining.json()).toEqual({
      id: body.id,
      object: 'token',
      cap: '0.10',
      used: '0.000009',
      held: '0.00',
      remaining: '0.099991',
      models: null,
      expires_at: body.expires_at,
    });
    // its spend is part of its key's spend and is not counted twice
    const load = await customer.wallet.load({ keyId: null, capPeriod: 'total' });
    expect(load.spentNanoUsd).toBe(COST);
  });

  it('never spends more than its cap, however many requests run at once', async () => {
    await network().add(model, greets);
    const cap = nanoUsd(3 * COST + 1);
    const { body } = await mint({ cap: (cap / 1e9).toFixed(9) });
    const responses = await Promise.all(Array.from({ length: 30 }, () => chat(bearer(body.token))));
    const statuses = responses.map(({ status }) => status);
    expect(new Set(statuses)).toEqual(new Set([200, 402]));
    const rejected = responses.find(({ status }) => status === 402)!;
    expect(await rejected.json()).toMatchObject({ error: { code: 'token_cap_reached' } });
    const { spentNanoUsd, heldNanoUsd } = await customer.wallet.tokenUse(body.id);
    expect(heldNanoUsd).toBe(0);
    expect(spentNanoUsd).toBeLessThanOrEqual(cap);
    expect(spentNanoUsd).toBe(COST * statuses.filter((status) => status === 200).length);
  });

  it('ends an answer when its cap is reached', async () => {
    await network().add(model, endless());
    const { body } = await mint({ cap: '0.0001' });
    const cut = await chat(bearer(body.token), { max_tokens: 5_000 });
    expect(await cut.json()).toMatchObject({
      choices: [{ finish_reason: 'length' }],
      tollgate: { stop: 'token_cap_reached' },
    });
    expect((await customer.wallet.tokenUse(body.id)).spentNanoUsd).toBeLessThanOrEqual(100_000);
  });

  it('may use only models that both the token and its key allow', async () => {
    const other = newModel();
    await network().add(model, greets);
    const narrow = await Customer.withCredit(usd(1), { models: [model] });
    expect((await mint({ cap: '1', models: [other] }, narrow)).status).toBe(400);
    const { body } = await mint({ cap: '1', models: [other] });
    expect((await chat(bearer(body.token))).status).toBe(403);
  });

  it('can do nothing else', async () => {
    const { body } = await mint();
    for (const [method, path] of [
      ['POST', '/v1/tokens'],
      ['GET', '/user/balance'],
      ['GET', '/v1/keys'],
      ['POST', '/v1/keys'],
      ['GET', '/v1/files'],
      ['POST', '/v1/batches'],
    ] as const) {
      const rejected = await call(bearer(body.token), method, path, method === 'POST' ? {} : undefined);
      expect([path, rejected.status]).toEqual([path, 403]);
    }
  });

  it('expires by itself, and stops working with its key', async () => {
    await network().add(model, greets);
    const { body } = await mint({ cap: '1', expires_in: 60 });
    expect((await chat(bearer(body.token))).status).toBe(200);
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 61_000 });
    expect((await chat(bearer(body.token))).status).toBe(401);
    const longer = await mint({ cap: '1', expires_in: 3_600 });
    await env.DB.prepare('update api_key set revoked_at_ms = 1 where id = ?').bind(customer.keyId).run();
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 6_000 });
    expect((await chat(bearer(longer.body.token))).status).toBe(401);
  });

  it('does not outlive a key that expires', async () => {
    const expiresAtMs = Date.now() + 30_000;
    const soon = await Customer.withCredit(usd(1), { expiresAtMs });
    const { body } = await mint({ cap: '1', expires_in: 600 }, soon);
    expect(Date.parse(body.expires_at)).toBeLessThanOrEqual(expiresAtMs);
  });

  it.each([
    [{}, 'cap'],
    [{ cap: '0' }, 'cap'],
    [{ cap: 1 }, 'cap'],
    [{ cap: '1', expires_in: 3_601 }, 'expires_in'],
    [{ cap: '1', expires_in: 0 }, 'expires_in'],
    [{ cap: '1', models: ['nobody'] }, 'models[0]'],
  ])('is not minted with %j', async (body, param) => {
    const rejected = await mint(body);
    expect(rejected).toMatchObject({ status: 400, body: { error: { param } } });
  });
});

describe('an invalid token is rejected like an unknown key', () => {
  const claims = () => ({ jti: 'tok_x', key: customer.keyId, models: null, cap: usd(1) });
  const times = () => ({ nowMs: Date.now(), expiresAtMs: Date.now() + 60_000 });
  const settings = config(env);

  it.each<[string, () => Promise<string> | string]>([
    [
      'not signed',
      () => new UnsecuredJWT({ ...claims(), aud: 'tollgate-client' }).setExpirationTime('1h').encode(),
    ],
    [
      'signed with another kind of key',
      () =>
        new SignJWT({ ...claims(), aud: 'tollgate-client', iss: 'tollgate-edge' })
          .setProtectedHeader({ alg: 'HS256' })
          .setExpirationTime('1h')
          .sign(new TextEncoder().encode('x'.repeat(32))),
    ],
    ['for a node', () => requestToken(settings, 'tollgate-client', Date.now())],
    [
      'for joining the fleet',
      () => {
        const join = { jti: 'join_1', edge: 'https://x', name: 'n', model, hardware: '8xh200' as const };
        return signJoinToken(settings, join, times());
      },
    ],
    [
      'tampered with',
      async () => {
        const [head, , signature] = (await signClientToken(settings, claims(), times())).split('.');
        const payload = { ...claims(), cap: usd(1_000), aud: 'tollgate-client', iss: 'tollgate-edge' };
        return `${head}.${btoa(JSON.stringify(payload)).replaceAll('=', '')}.${signature}`;
      },
    ],
    ['of an unknown key', () => signClientToken(settings, { ...claims(), key: 'key_none' }, times())],
  ])('%s', async (_, forge) => {
    const rejected = await chat(bearer(await forge()));
    expect(rejected.status).toBe(401);
    expect(await rejected.json()).toMatchObject({ error: { code: 'invalid_api_key' } });
  });
});

describe('a page of another origin', () => {
  const fetchFrom = (headers: Record<string, string>, method = 'POST') =>
    app.fetch(
      new Request('https://tollgate.test/v1/chat/completions', {
        method,
        headers: { origin: 'https://shop.example', ...headers },
      }),
      env,
      createExecutionContext(),
    );

  it('may use a token and read the response with its headers, whatever its status', async () => {
    const { body } = await mint();
    const response = await fetchFrom({ authorization: `Bearer ${body.token}` });
    expect(response.status).toBe(400);
    expect(response.headers.get('access-control-allow-origin')).toBe('*');
    expect(response.headers.get('access-control-expose-headers')).toContain('x-request-id');
    const preflight = await fetchFrom({ 'access-control-request-headers': 'authorization' }, 'OPTIONS');
    expect(preflight.status).toBe(204);
    expect(preflight.headers.get('access-control-allow-headers')).toContain('authorization');
  });

  it('cannot read a response to an API key', async () => {
    const response = await fetchFrom({ authorization: `Bearer ${customer.key}` });
    expect(response.headers.get('access-control-allow-origin')).toBeNull();
    expect(response.headers.get('access-control-expose-headers')).toBeNull();
  });
});
