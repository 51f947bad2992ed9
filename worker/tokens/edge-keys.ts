/**
 * The edge's signing key: an Ed25519 key, named by its RFC 7638 thumbprint. It signs requests to nodes, join tokens and
 * client tokens. Agents fetch its public half from the JWKS endpoint, and those of the keys beside it in a rotation.
 */
// By their paths: an isolate that starts for an API request would load all of jose by its index.
import type { JWK, JWTPayload } from 'jose';
import { calculateJwkThumbprint } from 'jose/jwk/thumbprint';
import { createLocalJWKSet } from 'jose/jwks/local';
import { SignJWT } from 'jose/jwt/sign';
import { jwtVerify } from 'jose/jwt/verify';
import { importJWK } from 'jose/key/import';
import * as z from 'zod';
import { EDGE } from '../../gpu-pool/protocol/constants.ts';
import { LoggableError } from '../lib/describe-error.ts';
import { acceptedSecrets, type Beside } from '../lib/rotation.ts';

const ALGORITHM = 'EdDSA';

/** The part of the configuration that signing needs. */
export interface KeyConfig {
  /** JSON of an Ed25519 private JWK. */
  readonly edgeSigningKey: string;
  /** Further keys, whose signatures are accepted and which agents are to know. Default: none. */
  readonly beside?: { readonly EDGE_SIGNING_KEY: Beside };
}

const PrivateJwk = z.object({
  kty: z.literal('OKP'),
  crv: z.literal('Ed25519'),
  x: z.string().min(1),
  d: z.string().min(1),
});

interface EdgeKeys {
  readonly signing: CryptoKey;
  /** Public halves of all accepted keys, that of the signing key first. */
  readonly publicJwks: readonly (JWK & { readonly kid: string })[];
  /** Finds the key of a token by the id in its header. */
  readonly verifying: ReturnType<typeof createLocalJWKSet>;
}

/** The keys, imported once per configuration. It holds results and never a promise: another request's may never settle. */
const imported = new WeakMap<KeyConfig, EdgeKeys>();

/** @throws Error when EDGE_SIGNING_KEY, or a key beside it, is not an Ed25519 private JWK */
export async function edgeKeys(config: KeyConfig): Promise<EdgeKeys> {
  const known = imported.get(config);
  if (known) return known;
  const { edgeSigningKey, beside } = config;
  const texts = acceptedSecrets(edgeSigningKey, beside?.EDGE_SIGNING_KEY);
  const publicJwks = await Promise.all(texts.map(toPublicJwk));
  const signing = await importJWK(parsePrivateJwk(edgeSigningKey), ALGORITHM);
  if (signing instanceof Uint8Array) throw new Error('an OKP key is never bytes');
  const keys = { signing, publicJwks, verifying: createLocalJWKSet({ keys: publicJwks }) };
  imported.set(config, keys);
  return keys;
}

async function toPublicJwk(text: string): Promise<JWK & { kid: string }> {
  const { kty, crv, x } = parsePrivateJwk(text);
  const publicPart = { kty, crv, x };
  return { ...publicPart, kid: await calculateJwkThumbprint(publicPart), use: 'sig', alg: ALGORITHM };
}

function parsePrivateJwk(text: string): z.infer<typeof PrivateJwk> {
  try {
    return PrivateJwk.parse(JSON.parse(text));
  } catch {
    // The parser's message could quote the key, so it is dropped.
    throw new LoggableError(
      'EDGE_SIGNING_KEY is not the private JWK of an Ed25519 key: {"kty":"OKP","crv":"Ed25519",…}',
    );
  }
}

/** The public halves as a JWKS, for agents. */
export async function publicJwks(config: KeyConfig) {
  return { keys: [...(await edgeKeys(config)).publicJwks] };
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
  const { signing, publicJwks } = await edgeKeys(config);
  return new SignJWT(claims)
    .setProtectedHeader({ alg: ALGORITHM, kid: publicJwks[0]!.kid })
    .setIssuer(EDGE)
    .setIssuedAt(Math.floor(nowMs / 1_000))
    .setExpirationTime(Math.floor(expiresAtMs / 1_000))
    .sign(signing);
}
