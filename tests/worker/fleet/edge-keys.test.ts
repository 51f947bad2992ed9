/** The edge's signatures: its JWKS, request tokens and their headers, and join tokens. */
import { createLocalJWKSet, decodeProtectedHeader, jwtVerify } from 'jose';
import { describe, expect, it } from 'vitest';
import {
  CLAIMS_HEADER,
  EDGE,
  JOIN_AUDIENCE,
  JWKS_PATH,
  RequestClaims,
} from '../../../gpu-pool/protocol/schemas.ts';
import { config } from '../../../worker/env.ts';
import { fleet } from '../../../worker/fleet/index.ts';
import { verifyClientToken } from '../../../worker/tokens/client-claims.ts';
import { publicJwks } from '../../../worker/tokens/edge-keys.ts';
import { signJoinToken, verifyJoinToken } from '../../../worker/tokens/join-token.ts';
import { nodeHeaders } from '../../../worker/tokens/node-headers.ts';
import { requestToken } from '../../../worker/tokens/request-token.ts';
import { env } from './fixtures.ts';

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

  it('rejects a malformed signing key without quoting it', async () => {
    const broken = publicJwks({ edgeSigningKey: '{"kty":"oct","k":"c2VjcmV0"}' });
    await expect(broken).rejects.toThrow(/^EDGE_SIGNING_KEY is not the private JWK of an Ed25519 key/);
    await expect(publicJwks({ edgeSigningKey: 'c2VjcmV0' })).rejects.not.toThrow(/c2VjcmV0/);
  });
});

describe('a request token', () => {
  const minuteMs = 1_800_000_000_000;
  const sign = (nodeId: string, atMs: number) => requestToken(config(env), nodeId, atMs);

  it('verifies against the JWKS, names its key and its node, and expires two minutes after its minute began', async () => {
    const token = await sign('node_x', minuteMs + 20_000);
    const jwks = await publicJwks(config(env));
    expect(decodeProtectedHeader(token)).toEqual({ alg: 'EdDSA', kid: jwks.keys[0]!.kid });
    const verify = (atMs: number, audience = 'node_x') =>
      jwtVerify(token, createLocalJWKSet(jwks), { issuer: EDGE, audience, currentDate: new Date(atMs) });
    const { payload } = await verify(minuteMs + 119_000);
    const iat = minuteMs / 1_000;
    expect(payload).toEqual({ iss: EDGE, aud: 'node_x', iat, exp: iat + 120 });
    await expect(verify(minuteMs + 121_000)).rejects.toMatchObject({ code: 'ERR_JWT_EXPIRED' });
    await expect(verify(minuteMs, 'node_y')).rejects.toMatchObject({ claim: 'aud' });
  });

  it('is reused for a minute, at the end of which it is valid for another; each node has its own', async () => {
    const first = await sign('node_z', minuteMs);
    expect(await sign('node_z', minuteMs + 59_999)).toBe(first);
    expect(await sign('node_z', minuteMs + 60_000)).not.toBe(first);
    // The clock was set back.
    expect(await sign('node_z', minuteMs + 10_000)).toBe(first);
    expect(await sign('node_other', minuteMs)).not.toBe(first);
  });

  it('is accepted neither as a join token nor as a client token', async () => {
    const nowMs = Date.now();
    expect(await verifyJoinToken(config(env), await sign(JOIN_AUDIENCE, nowMs), nowMs)).toBeNull();
    expect(await verifyClientToken(config(env), await sign('tollgate-client', nowMs), nowMs)).toBeNull();
  });
});

describe('the headers of a request to a node', () => {
  it('are a token and the claims in ASCII, whatever the model’s name', async () => {
    const claims = {
      sub: 'acct_x',
      jti: 'req_x',
      model: 'modèle-\u{1F680}\u007F\n',
      max_tokens: 100,
      ticket: 'lease_x',
    };
    const headers = await nodeHeaders(config(env), 'node_x', claims);
    expect(headers[CLAIMS_HEADER]).toMatch(/^[\x20-\x7e]+$/);
    expect(RequestClaims.parse(JSON.parse(new Headers(headers).get(CLAIMS_HEADER)!))).toEqual(claims);
    expect(headers.authorization).toBe(`Bearer ${await requestToken(config(env), 'node_x', Date.now())}`);
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

  it('verifies to the claims that were signed', async () => {
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
