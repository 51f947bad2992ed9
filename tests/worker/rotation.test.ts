/**
 * Rotations under load: for each secret, requests go on through every step (before, the new one accepted, the new one in
 * use, only the new one), also between isolates that are a step apart, and nobody is refused.
 */
import { createExecutionContext, waitOnExecutionContext } from 'cloudflare:test';
import { createLocalJWKSet, jwtVerify } from 'jose';
import { describe, expect, it, vi } from 'vitest';
import { EDGE, HEARTBEAT_PATH } from '../../gpu-pool/protocol/schemas.ts';
import { createKey, findKey } from '../../worker/db/keys.ts';
import { listEdgeKeysOfNodes } from '../../worker/db/node-edge-keys.ts';
import { usd } from '../../worker/domain/money.ts';
import { config, type Env } from '../../worker/env.ts';
import { fleet } from '../../worker/fleet/index.ts';
import { mintClientToken } from '../../worker/http/client-token.ts';
import { inboxHash, keepInboxKey } from '../../worker/identity/inbox-key.ts';
import {
  countOtherSecondFactors,
  encryptSecondFactorsAnew,
} from '../../worker/identity/second-factor-secrets.ts';
import app from '../../worker/index.ts';
import { endpointSecret, keepEndpointSecret } from '../../worker/notifications/webhook/endpoint-secret.ts';
import { edgeKeys, publicJwks } from '../../worker/tokens/edge-keys.ts';
import { signJoinToken, verifyJoinToken } from '../../worker/tokens/join-token.ts';
import { pepperKey } from '../../worker/tokens/pepper.ts';
import { requestToken } from '../../worker/tokens/request-token.ts';
import { enrolledNode, heartbeat, newAccount, nodeToken } from './fleet/fixtures.ts';
import { totpFromPage } from './identity/authenticator.ts';
import { db, TaskHarness } from './notifications/fixtures.ts';
import { Browser, bindings, ORIGIN, PASSWORD } from './portal/browser.ts';

type Name = 'AUTH_SECRET' | 'KEY_PEPPER' | 'EDGE_SIGNING_KEY' | 'OPERATOR_TOKEN' | 'SANDBOX_WEBHOOK_SECRET';

interface Steps {
  readonly before: Env;
  readonly accepted: Env;
  readonly inUse: Env;
  readonly after: Env;
}

/** The environment at each step of a rotation. */
function steps(name: Name, next: string, base: Env = bindings): Steps {
  return {
    before: base,
    accepted: { ...base, [`${name}_NEXT`]: next },
    inUse: { ...base, [`${name}_NEXT`]: next, USE_NEXT: name },
    after: { ...base, [name]: next },
  };
}

async function send(env: Env, path: string, init: RequestInit = {}): Promise<Response> {
  const context = createExecutionContext();
  const response = await app.fetch(new Request(ORIGIN + path, init), env, context);
  const read = new Response(response.body && (await response.arrayBuffer()), response);
  await waitOnExecutionContext(context);
  return read;
}

async function newKey(env: Env): Promise<{ key: string; keyId: string; accountId: string }> {
  const accountId = await newAccount();
  await bindings.WALLET.getByName(accountId).grant({ grantId: 'trial', amountNanoUsd: usd(5) });
  const request = { accountId, name: 'test', nowMs: Date.now() };
  const { key, row } = await createKey(db, await pepperKey(config(env)), request);
  return { key, keyId: row.id, accountId };
}

const statusOf = async (env: Env, key: string) =>
  (await send(env, '/v1/key', { headers: { authorization: `Bearer ${key}` } })).status;

/** The statuses of ten calls at once. */
const tenOf = (call: () => Promise<number>) => Promise.all(Array.from({ length: 10 }, call));

describe('KEY_PEPPER', () => {
  const NEXT = 'the-next-pepper-0123456789abcdef';

  it('refuses no key at any step, whichever step another isolate is at, and keeps used keys for good', async () => {
    const { before, accepted, inUse, after } = steps('KEY_PEPPER', NEXT);
    const old = await newKey(before);
    const unused = await newKey(before);
    // in the order of a rotation, with isolates that lag a step behind after each
    for (const env of [before, accepted, before, inUse, accepted, inUse]) {
      expect(await tenOf(() => statusOf(env, old.key))).toEqual(Array(10).fill(200));
      const made = await newKey(env);
      expect([await statusOf(accepted, made.key), await statusOf(inUse, made.key)]).toEqual([200, 200]);
    }
    expect(await statusOf(after, old.key)).toBe(200);
    expect(await statusOf(after, unused.key)).toBe(401);
    expect((await findKey(db, old))?.pepperId).toBe((await pepperKey(config(after))).id);
  });

  it('replays an idempotent answer that was kept under the old pepper, and does not run it again', async () => {
    const { before, accepted, inUse } = steps('KEY_PEPPER', NEXT);
    const { sealFor } = await import('../../worker/gateway/idempotency/sealed-response.ts');
    const { key, accountId } = await newKey(before);
    const wallet = bindings.WALLET.getByName(accountId);
    const work = async (env: Env, requestId: string) => {
      const caller = { accountId, secret: key, idempotencyKey: 'order-1', body: new Uint8Array([1]) };
      const { lookup, fingerprint, others } = await sealFor(env, caller);
      return { lookup, fingerprint, others, requestId };
    };
    const first = await work(before, 'req_1');
    expect(await wallet.beginIdempotent(first)).toEqual({ state: 'fresh' });
    expect(await wallet.beginIdempotent(await work(inUse, 'req_2'))).toEqual({ state: 'running' });
    await wallet.keepAnswer(first, [new Uint8Array([7])]);
    for (const env of [before, accepted, inUse])
      expect(await wallet.beginIdempotent(await work(env, 'req_3'))).toMatchObject({
        state: 'replay',
        requestId: 'req_1',
      });
    const { key: _, ...other } = await sealFor(inUse, {
      ...{ accountId, secret: key, idempotencyKey: 'order-1' },
      body: new Uint8Array([2]),
    });
    expect(await wallet.beginIdempotent({ ...other, requestId: 'req_4' })).toEqual({ state: 'mismatch' });
  });

  it('runs a lost answer again under the new pepper, as a further run of the same key', async () => {
    const { before, inUse } = steps('KEY_PEPPER', NEXT);
    const { sealFor } = await import('../../worker/gateway/idempotency/sealed-response.ts');
    const { key, accountId } = await newKey(before);
    const wallet = bindings.WALLET.getByName(accountId);
    const caller = { accountId, secret: key, idempotencyKey: 'order-2', body: new Uint8Array([1]) };
    const old = { ...(await sealFor(before, caller)), requestId: 'req_1' };
    const { key: _, ...first } = old;
    await wallet.beginIdempotent(first);
    const { key: __, ...hashes } = await sealFor(inUse, caller);
    await wallet.abandonIdempotent(first);
    expect(await wallet.beginIdempotent({ ...hashes, requestId: 'req_2' })).toEqual({ state: 'fresh' });
    expect(await wallet.beginIdempotent({ ...first, requestId: 'req_3' })).not.toMatchObject({
      state: 'replay',
    });
    await wallet.keepAnswer({ ...hashes, requestId: 'req_2' }, [new Uint8Array([7])]);
    expect(await wallet.beginIdempotent({ ...hashes, requestId: 'req_4' })).toMatchObject({
      state: 'replay',
    });
  });
});

describe('EDGE_SIGNING_KEY', () => {
  const NEXT = JSON.stringify({
    ...{ kty: 'OKP', crv: 'Ed25519', x: 'PUAXw-hDiVqStwqnTRt-vJyYLM8uxJaMwM1V8Sr0Zgw' },
    d: 'TM0Imyj_ltqdtsNG7BFOD1uKMZ81q6Yk2oz27U-4pvs',
  });
  const { before, accepted, inUse, after } = steps('EDGE_SIGNING_KEY', NEXT);

  it('is in the JWKS of every isolate before it signs, and the old one until nothing of it is left', async () => {
    const kids = async (env: Env) => (await publicJwks(config(env))).keys.map(({ kid }) => kid);
    const [old, fresh] = [(await kids(before))[0], (await kids(after))[0]];
    expect(await kids(accepted)).toEqual([old, fresh]);
    expect(await kids(inUse)).toEqual([fresh, old]);
    const served = await (await fleet.request('/.well-known/jwks.json', {}, accepted)).text();
    expect(served).not.toContain('"d"');
  });

  it('signs requests that a node with the keys of a step ago accepts', async () => {
    const nowMs = Date.now();
    for (const [env, known] of [
      [before, accepted],
      [accepted, before],
      [inUse, accepted],
      [accepted, inUse],
      [after, inUse],
      [inUse, after],
    ] as const) {
      const token = await requestToken(config(env), 'node_x', nowMs);
      const jwks = createLocalJWKSet(await publicJwks(config(known)));
      const options = { issuer: EDGE, audience: 'node_x' };
      if (env === inUse && known === after)
        expect((await jwtVerify(token, jwks, options)).payload.aud).toBe('node_x');
      else await expect(jwtVerify(token, jwks, options)).resolves.toBeDefined();
    }
  });

  it('refuses neither a client token nor a join token that another step has signed', async () => {
    const { keyId, accountId } = await newKey(before);
    const row = (await findKey(db, { accountId, keyId }))!;
    const mint = (env: Env) =>
      mintClientToken(config(env), {
        key: row,
        models: null,
        cap: usd(1),
        lifetimeS: 600,
        nowMs: Date.now(),
      });
    const join = { jti: 'join_1', edge: ORIGIN, name: 'n', model: 'm', hardware: '8xmi300x' } as const;
    for (const [signs, verifies] of [
      [before, accepted],
      [before, inUse],
      [inUse, accepted],
      [inUse, after],
    ] as const) {
      const { token } = await mint(signs);
      expect(await tenOf(() => statusOf(verifies, token))).toEqual(Array(10).fill(200));
      const nowMs = Date.now();
      const joinToken = await signJoinToken(config(signs), join, { nowMs, expiresAtMs: nowMs + 60_000 });
      expect((await verifyJoinToken(config(verifies), joinToken, nowMs))?.jti).toBe('join_1');
    }
    expect(await statusOf(after, (await mint(before)).token)).toBe(401);
  });

  it('is announced to nodes, and the operator sees which of them hold it', async () => {
    const node = await enrolledNode();
    const beat = async (env: Env, edge_keys?: string[]) => {
      const response = await send(env, HEARTBEAT_PATH, {
        method: 'POST',
        headers: {
          authorization: `Bearer ${await nodeToken(node, node.id)}`,
          'content-type': 'application/json',
        },
        body: JSON.stringify(heartbeat({ edge_keys })),
      });
      return response.json<{ edge_keys?: string[] }>();
    };
    const held = async () => (await listEdgeKeysOfNodes(db)).find(({ id }) => id === node.id)?.keyIds;
    expect((await beat(before, ['a'])).edge_keys).toBeUndefined();
    expect(await held()).toEqual([]);
    const { edge_keys } = await beat(accepted);
    expect(edge_keys).toEqual((await edgeKeys(config(accepted))).publicJwks.map(({ kid }) => kid));
    await beat(accepted, edge_keys);
    expect(await held()).toEqual([...edge_keys!].sort());
  });
});

describe('AUTH_SECRET', () => {
  const NEXT = 'the-next-auth-secret-0123456789abcdef';
  const harness = new TaskHarness();
  const { before, accepted, inUse, after } = steps('AUTH_SECRET', NEXT, harness.env);

  /** A browser at another step, with the cookies of this one. */
  function at(env: Env, from: Browser): Browser {
    const browser = new Browser('en', env);
    for (const [name, value] of from.cookies) browser.cookies.set(name, value);
    return browser;
  }

  /** A person with a second factor. */
  async function withSecondFactor(env: Env) {
    const browser = new Browser('en', env);
    const { email } = await browser.signUp();
    const page = await (
      await browser.postAndFollow('/settings/second-factor', { password: PASSWORD })
    ).text();
    const code = totpFromPage(page);
    const backupCodes = page.split('data-codes')[1]!.match(/(?:[0-9a-z]{6}-){3}[0-9a-z]{6}/g)!;
    const confirmed = await browser.post('/settings/second-factor/confirm', { code: await code() });
    expect(confirmed.status).toBeLessThan(400);
    /** The app's next code, which is accepted early: the present one has been used. */
    const nextCode = async () => {
      vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 30_000 });
      try {
        return await code();
      } finally {
        vi.useRealTimers();
      }
    };
    return { browser, email, codes: backupCodes, nextCode };
  }

  async function signsIn(env: Env, email: string, code: string): Promise<string | null> {
    const browser = new Browser('en', env);
    await browser.post('/sign-in', { email, password: PASSWORD });
    return (await browser.post('/sign-in/code', { code })).headers.get('location');
  }

  it('ends no session at any step, and renews its cookie so that it outlives the old secret', async () => {
    const browser = new Browser('en', before);
    await browser.signUp();
    const open = async (env: Env) => (await at(env, browser).get('/settings')).status;
    for (const env of [before, accepted, before])
      expect(await tenOf(() => open(env))).toEqual(Array(10).fill(200));
    const renewed = at(inUse, browser);
    expect((await renewed.get('/settings')).status).toBe(200);
    expect((await at(accepted, renewed).get('/settings')).status).toBe(200);
    expect((await at(after, renewed).get('/settings')).status).toBe(200);
    expect(await open(after)).toBe(303);
  });

  it('takes no cookie that none of the secrets signed', async () => {
    const browser = new Browser('en', before);
    await browser.signUp();
    const forged = at(inUse, browser);
    for (const [name, value] of forged.cookies)
      if (name.includes('session_token'))
        forged.cookies.set(
          name,
          value.replace(/^./, (c) => (c === 'a' ? 'b' : 'a')),
        );
    expect((await forged.get('/settings')).status).toBe(303);
  });

  it('lets a second factor and its backup codes sign in at every step, and without the old secret after the move', async () => {
    const { email, codes, nextCode } = await withSecondFactor(before);
    expect(await signsIn(accepted, email, codes[0]!)).toMatch(/^\//);
    const second = await withSecondFactor(accepted);
    expect(await signsIn(inUse, second.email, second.codes[0]!)).toMatch(/^\//);
    const third = await withSecondFactor(inUse);
    expect(await signsIn(accepted, third.email, third.codes[0]!)).toMatch(/^\//);
    expect(await signsIn(inUse, second.email, await second.nextCode())).toMatch(/^\//);
    expect(await signsIn(accepted, third.email, await third.nextCode())).toMatch(/^\//);

    const left = await countOtherSecondFactors(inUse);
    expect(left).toBeGreaterThanOrEqual(2);
    expect(await encryptSecondFactorsAnew(inUse, 100)).toBe(left);
    expect(await countOtherSecondFactors(inUse)).toBe(0);
    expect(await signsIn(after, email, codes[1]!)).toMatch(/^\//);
    expect(await signsIn(after, email, await nextCode())).toMatch(/^\//);
  });

  it('lets a sign-in that began with the old secret end with the new one', async () => {
    const { email, codes } = await withSecondFactor(before);
    const browser = new Browser('en', before);
    await browser.post('/sign-in', { email, password: PASSWORD });
    const response = await at(inUse, browser).post('/sign-in/code', { code: codes[0]! });
    expect(response.headers.get('location')).toMatch(/^\//);
  });

  it('accepts the links of e-mails that were sent before', async () => {
    await harness.drain();
    harness.emails.splice(0);
    const browser = new Browser('en', before);
    await browser.signUp();
    await harness.drain();
    const path = harness.emails.map(({ text }) => /\/verify-email\S*/.exec(text)?.[0]).find(Boolean)!;
    expect((await new Browser('en', { ...inUse, USE_NEXT: '' }).get('/settings')).status).toBe(303);
    expect((await new Browser('en', inUse).get(path)).status).toBe(200);
  });

  it('shows a secret whose page opens a step later', async () => {
    const browser = new Browser('en', before);
    await browser.signUp();
    const page = await (await at(inUse, browser).get('/start')).text();
    expect(page).toMatch(/sk-tg-[0-9A-Za-z]{46}/);
  });

  it('changes no webhook secret of a customer', async () => {
    const accountId = await newAccount();
    const { id, secret } = await harness.endpoint(accountId);
    const endpoint = { id, secretVersion: 1 };
    const legacy = { id: `${id}x`, secretVersion: 1 };
    const derived = await endpointSecret(before, legacy);
    for (const env of [before, accepted, inUse]) {
      expect(await endpointSecret(env, endpoint)).toBe(secret);
      expect(await endpointSecret(env, legacy)).toBe(derived);
    }
    for (const each of [endpoint, legacy]) await keepEndpointSecret(inUse, each, Date.now());
    expect([await endpointSecret(after, endpoint), await endpointSecret(after, legacy)]).toEqual([
      secret,
      derived,
    ]);
  });
});

describe('the operator API', () => {
  const OPERATOR_HEADERS = { authorization: `Bearer ${config(bindings).operatorToken}` };
  const stateOf = async (env: Env, name: string) => {
    const response = await send(env, '/operator/api/secrets', { headers: OPERATOR_HEADERS });
    const { secrets } = await response.json<{
      secrets: { name: string; step: string; left: Record<string, number> }[];
    }>();
    return secrets.find((secret) => secret.name === name)!;
  };
  const carryOver = async (env: Env) => {
    const init = { method: 'POST', headers: OPERATOR_HEADERS };
    const response = await send(env, '/operator/api/secrets/carry-over', init);
    return (await response.json<{ carried_over: number }>()).carried_over;
  };

  it('says at which step each secret is, and what is left', async () => {
    const { before, accepted, inUse } = steps('KEY_PEPPER', 'a-third-pepper-0123456789abcdef');
    expect(await stateOf(before, 'KEY_PEPPER')).toEqual({ name: 'KEY_PEPPER', step: 'alone', left: {} });
    expect((await stateOf(accepted, 'KEY_PEPPER')).step).toBe('accepted');
    const { key } = await newKey(before);
    const { step, left } = await stateOf(inUse, 'KEY_PEPPER');
    expect(step).toBe('in_use');
    expect(left.api_keys).toBeGreaterThan(0);
    expect(left.trial_inboxes).toBe(1);
    await statusOf(inUse, key);
    expect((await stateOf(inUse, 'KEY_PEPPER')).left.api_keys).toBe(left.api_keys! - 1);
    await carryOver(inUse);
    expect((await stateOf(inUse, 'KEY_PEPPER')).left.trial_inboxes).toBe(0);
  });

  it('carries over all that AUTH_SECRET encrypts, until nothing is left', async () => {
    const { inUse } = steps('AUTH_SECRET', 'a-third-auth-secret-0123456789abcdef');
    await new TaskHarness().endpoint(await newAccount());
    expect((await stateOf(inUse, 'AUTH_SECRET')).left.webhook_secrets).toBeGreaterThan(0);
    while ((await carryOver(inUse)) > 0);
    const { left } = await stateOf(inUse, 'AUTH_SECRET');
    expect(left).toMatchObject({ webhook_secrets: 0, trial_inboxes: 0 });
  });

  it('remembers which inboxes had trial credit over both rotations', async () => {
    await bindings.DB.prepare('DELETE FROM sealed_key').run();
    const hashes = new Set<string>();
    const pepper = steps('KEY_PEPPER', 'a-fourth-pepper-0123456789abcdef');
    for (const env of [pepper.before, pepper.accepted, pepper.inUse])
      hashes.add(await inboxHash(env, 'inbox'));
    await keepInboxKey(pepper.inUse, Date.now());
    const authSecret = steps('AUTH_SECRET', 'a-fourth-auth-secret-0123456789', pepper.after);
    for (const env of [authSecret.before, authSecret.accepted, authSecret.inUse])
      hashes.add(await inboxHash(env, 'inbox'));
    await keepInboxKey(authSecret.inUse, Date.now());
    hashes.add(await inboxHash(authSecret.after, 'inbox'));
    expect(hashes.size).toBe(1);
    await bindings.DB.prepare('DELETE FROM sealed_key').run();
  });
});

describe('settings', () => {
  it.each([
    [{ USE_NEXT: 'KEY_PEPPER' }, 'USE_NEXT names KEY_PEPPER, but KEY_PEPPER_NEXT is not set'],
    [{ USE_NEXT: 'MAIL_FROM' }, 'USE_NEXT names what is none of'],
    [{ KEY_PEPPER_NEXT: 'short' }, 'KEY_PEPPER_NEXT must have at least 16 characters'],
    [{ AUTH_SECRET_PREVIOUS: 'short' }, 'AUTH_SECRET_PREVIOUS must be secrets of at least 16 characters'],
  ])('%j are refused', (settings, message) => {
    expect(() => config({ ...bindings, ...settings } as Env)).toThrow(message);
  });
});
