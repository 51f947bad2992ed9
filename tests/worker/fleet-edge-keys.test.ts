import { createLocalJWKSet, decodeProtectedHeader, jwtVerify } from 'jose';
import { describe, expect, it } from 'vitest';
import { EDGE, JWKS_PATH, RequestClaims } from '../../gpu-pool/protocol.ts';
import { config } from '../../worker/env.ts';
import {
  publicJwks,
  signJoinToken,
  signRequestToken,
  verifyJoinToken,
} from '../../worker/fleet/edge-keys.ts';
import { fleet } from '../../worker/fleet/index.ts';
import { env } from './fleet-fixtures.ts';

const claims = { aud: 'node_x', sub: 'acct_x', jti: 'req_x', model: 'deepseek-r1-0528', max_tokens: 100 };

describe('the JWKS', () => {
  it('serves the public half, and nothing else of the key', async () => {
    const response = await fleet.request(JWKS_PATH, {}, env);
    expect(response.headers.get('cache-control')).toBe('public, max-age=300');
    expect(await response.json()).toEqual({
      keys: [
        {
          kty: 'OKP',
          crv: 'Ed25519',
          x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo',
          // RFC 8037, appendix A.3: the thumbprint of this key
          kid: 'kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k',
          use: 'sig',
          alg: 'EdDSA',
        },
      ],
    });
  });

  it('refuses a signing key that is none, without quoting it', async () => {
    const broken = publicJwks({ edgeSigningKey: '{"kty":"oct","k":"c2VjcmV0"}' });
    await expect(broken).rejects.toThrow(/^EDGE_SIGNING_KEY is not the private JWK of an Ed25519 key/);
    await expect(publicJwks({ edgeSigningKey: 'c2VjcmV0' })).rejects.not.toThrow(/c2VjcmV0/);
  });
});

describe('a request token', () => {
  it('verifies against the JWKS, names its key, and dies after 60 s', async () => {
    const nowMs = 1_800_000_000_000;
    const token = await signRequestToken(config(env), claims, nowMs);
    const jwks = await publicJwks(config(env));
    expect(decodeProtectedHeader(token)).toEqual({ alg: 'EdDSA', kid: jwks.keys[0]!.kid });
    const verify = (atMs: number) =>
      jwtVerify(token, createLocalJWKSet(jwks), {
        issuer: EDGE,
        audience: 'node_x',
        currentDate: new Date(atMs),
      });
    const { payload } = await verify(nowMs + 59_000);
    expect(RequestClaims.parse(payload)).toEqual({ iss: EDGE, ...claims });
    expect(payload.exp).toBe(nowMs / 1_000 + 60);
    await expect(verify(nowMs + 61_000)).rejects.toMatchObject({ code: 'ERR_JWT_EXPIRED' });
  });

  it('lets nobody join', async () => {
    const nowMs = Date.now();
    const dressedUp = { ...claims, edge: 'https://tollgate.test', name: 'gpu-1', hardware: '8xh200' };
    const token = await signRequestToken(config(env), dressedUp, nowMs);
    expect(await verifyJoinToken(config(env), token, nowMs)).toBeNull();
  });
});

describe('a join token', () => {
  const join = {
    jti: 'join_x',
    edge: 'https://tollgate.test',
    name: 'gpu-1',
    model: 'm',
    hardware: '8xh200',
  } as const;
  const nowMs = Date.now();
  const sign = () => signJoinToken(config(env), join, { nowMs, expiresAtMs: nowMs + 10_000 });

  it('comes back as it was signed', async () => {
    expect(await verifyJoinToken(config(env), await sign(), nowMs)).toEqual(join);
  });

  it('is refused when it has expired', async () => {
    expect(await verifyJoinToken(config(env), await sign(), nowMs + 11_000)).toBeNull();
  });

  it('is refused when any part of it was changed', async () => {
    const [head = '', payload = '', signature = ''] = (await sign()).split('.');
    const other = btoa(atob(payload.replace(/-/g, '+').replace(/_/g, '/')).replace('gpu-1', 'gpu-2')).replace(
      /=+$/,
      '',
    );
    const none = btoa('{"alg":"none"}').replace(/=+$/, '');
    const flipped = (signature[0] === 'A' ? 'B' : 'A') + signature.slice(1);
    for (const token of [
      `${head}.${other}.${signature}`,
      `${head}.${payload}.${flipped}`,
      `${none}.${payload}.`,
      '',
    ]) {
      expect(await verifyJoinToken(config(env), token, nowMs)).toBeNull();
    }
  });

  it('is refused when another edge signed it', async () => {
    const pair = (await crypto.subtle.generateKey('Ed25519', true, ['sign', 'verify'])) as CryptoKeyPair;
    const jwk = await crypto.subtle.exportKey('jwk', pair.privateKey);
    const foreign = await signJoinToken({ edgeSigningKey: JSON.stringify(jwk) }, join, {
      nowMs,
      expiresAtMs: nowMs + 10_000,
    });
    expect(await verifyJoinToken(config(env), foreign, nowMs)).toBeNull();
  });
});
