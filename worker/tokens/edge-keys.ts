/**
 * The edge's signing key: one Ed25519 key, named by its RFC 7638 thumbprint. It signs requests to nodes, join tokens and
 * client tokens. Agents fetch its public half from the JWKS endpoint.
 */
import { calculateJwkThumbprint, importJWK, type JWTPayload, jwtVerify, SignJWT } from 'jose';
import * as z from 'zod';
import { EDGE } from '../../gpu-pool/protocol/constants.ts';

const ALGORITHM = 'EdDSA';

/** The part of the configuration that signing needs. */
export interface KeyConfig {
  /** JSON of an Ed25519 private JWK. */
  readonly edgeSigningKey: string;
}

const PrivateJwk = z.object({
  kty: z.literal('OKP'),
  crv: z.literal('Ed25519'),
  x: z.string().min(1),
  d: z.string().min(1),
});

interface EdgeKeys {
  readonly source: string;
  readonly signing: CryptoKey;
  readonly verifying: CryptoKey;
  readonly publicJwk: { kty: 'OKP'; crv: 'Ed25519'; x: string; kid: string; use: 'sig'; alg: string };
}

/**
 * The keys, imported once per isolate. It holds the result and never a
 * promise: another request's promise may never settle.
 */
let imported: EdgeKeys | null = null;

/** @throws Error when EDGE_SIGNING_KEY is not an Ed25519 private JWK */
export async function edgeKeys({ edgeSigningKey }: KeyConfig): Promise<EdgeKeys> {
  if (imported?.source === edgeSigningKey) return imported;
  const { kty, crv, x, d } = parsePrivateJwk(edgeSigningKey);
  const publicPart = { kty, crv, x };
  const [kid, signing, verifying] = await Promise.all([
    calculateJwkThumbprint(publicPart),
    importJWK({ ...publicPart, d }, ALGORITHM),
    importJWK(publicPart, ALGORITHM),
  ]);
  if (signing instanceof Uint8Array || verifying instanceof Uint8Array)
    throw new Error('an OKP key is never bytes');
  imported = {
    source: edgeSigningKey,
    signing,
    verifying,
    publicJwk: { ...publicPart, kid, use: 'sig', alg: ALGORITHM },
  };
  return imported;
}

function parsePrivateJwk(text: string): z.infer<typeof PrivateJwk> {
  try {
    return PrivateJwk.parse(JSON.parse(text));
  } catch {
    // The parser's message could quote the key, so it is dropped.
    throw new Error(
      'EDGE_SIGNING_KEY is not the private JWK of an Ed25519 key: {"kty":"OKP","crv":"Ed25519",…}',
    );
  }
}

/** The public half as a JWKS, for agents. */
export async function publicJwks(config: KeyConfig) {
  return { keys: [(await edgeKeys(config)).publicJwk] };
}

/** @returns the token's payload; null when it is not signed by this edge for `audience`, or has expired */
export async function verify(
  config: KeyConfig,
  token: string,
  { audience, nowMs }: { audience: string; nowMs: number },
): Promise<JWTPayload | null> {
  const { verifying } = await edgeKeys(config);
  try {
    const { payload } = await jwtVerify(token, verifying, {
      algorithms: [ALGORITHM],
      issuer: EDGE,
      audience,
      requiredClaims: ['exp', 'jti'],
      currentDate: new Date(nowMs),
    });
    return payload;
  } catch {
    return null;
  }
}

/** Signs a JWT with `iss`, `iat` and `exp` set. */
export async function sign(
  config: KeyConfig,
  claims: JWTPayload,
  { nowMs, expiresAtMs }: { nowMs: number; expiresAtMs: number },
): Promise<string> {
  const { signing, publicJwk } = await edgeKeys(config);
  return new SignJWT(claims)
    .setProtectedHeader({ alg: ALGORITHM, kid: publicJwk.kid })
    .setIssuer(EDGE)
    .setIssuedAt(Math.floor(nowMs / 1_000))
    .setExpirationTime(Math.floor(expiresAtMs / 1_000))
    .sign(signing);
}
