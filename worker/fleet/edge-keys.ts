/**
 * The edge's own key: it signs what nodes are asked to do and who may join. One Ed25519 key, known by its
 * RFC 7638 thumbprint; agents find its public half at the JWKS.
 */
import { calculateJwkThumbprint, importJWK, type JWTPayload, jwtVerify, SignJWT } from 'jose';
import * as z from 'zod';
import { EDGE, HARDWARE, JOIN_AUDIENCE } from '../../gpu-pool/protocol/constants.ts';
import type { Config } from '../env.ts';
import { TtlCache } from '../gateway/ttl-cache.ts';

const ALGORITHM = 'EdDSA';
/** A request token is signed at the beginning of each minute … */
const REQUEST_TOKEN_EVERY_S = 60;
/** … and lives for two, so that every request has one with life left; the stream that it opens may last longer. */
const REQUEST_TOKEN_LIFETIME_S = 120;

type KeyConfig = Pick<Config, 'edgeSigningKey'>;

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

/** Imported once per isolate. Holds the result and never a promise: another request's promise may never settle. */
let imported: EdgeKeys | null = null;

/** @throws Error when EDGE_SIGNING_KEY is not an Ed25519 private JWK */
async function edgeKeys({ edgeSigningKey }: KeyConfig): Promise<EdgeKeys> {
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
    // The parser's message could quote the key, so it goes nowhere.
    throw new Error(
      'EDGE_SIGNING_KEY is not the private JWK of an Ed25519 key: {"kty":"OKP","crv":"Ed25519",…}',
    );
  }
}

/** The public half, as agents read it. */
export async function publicJwks(config: KeyConfig) {
  return { keys: [(await edgeKeys(config)).publicJwk] };
}

interface RequestToken {
  readonly text: string;
  readonly signedAtMs: number;
  readonly signing: CryptoKey;
}
/** by node id; what was signed in a minute that is over is of no use */
const requestTokens = new TtlCache<string, RequestToken>({
  ttlMs: REQUEST_TOKEN_EVERY_S * 1_000,
  sizeMax: 10_000,
});

/**
 * The token with which this minute's requests come to a node. It begins with the minute, so that all isolates sign the
 * same bytes (Ed25519 has no chance in it), and a node has one to verify.
 */
export async function requestToken(config: KeyConfig, nodeId: string, nowMs: number): Promise<string> {
  const { signing } = await edgeKeys(config);
  const signedAtMs = nowMs - (nowMs % (REQUEST_TOKEN_EVERY_S * 1_000));
  const known = requestTokens.get(nodeId, nowMs);
  if (known?.signedAtMs === signedAtMs && known.signing === signing) return known.text;
  const times = { nowMs: signedAtMs, expiresAtMs: signedAtMs + REQUEST_TOKEN_LIFETIME_S * 1_000 };
  const text = await sign(config, { aud: nodeId }, times);
  requestTokens.set(nodeId, { text, signedAtMs, signing }, nowMs);
  return text;
}

const JoinClaims = z.object({
  /** join id: the row that says whether the token was used */
  jti: z.string(),
  /** origin at which to enrol */
  edge: z.string(),
  name: z.string(),
  model: z.string(),
  // as the protocol's `Hardware`, whose module makes all schemas of nodes
  hardware: z.enum(HARDWARE),
});
export type JoinClaims = z.infer<typeof JoinClaims>;

export function signJoinToken(
  config: KeyConfig,
  claims: JoinClaims,
  times: { nowMs: number; expiresAtMs: number },
): Promise<string> {
  return sign(config, { ...claims, aud: JOIN_AUDIENCE }, times);
}

/** @returns null for any token that this edge did not sign for joining, or that has expired */
export async function verifyJoinToken(
  config: KeyConfig,
  token: string,
  nowMs: number,
): Promise<JoinClaims | null> {
  const payload = await verify(config, token, { audience: JOIN_AUDIENCE, nowMs });
  return JoinClaims.safeParse(payload).data ?? null;
}

const CLIENT_AUDIENCE = 'tollgate-client';

/** What a short-lived token of a browser or a phone may do; its parent key has the rest. */
const ClientClaims = z.object({
  /** token id */
  jti: z.string(),
  /** id of the key that made it */
  key: z.string(),
  /** model ids; null: those of the key */
  models: z.array(z.string()).nullable(),
  /** what it may spend in all, nano-USD */
  cap: z.int().positive(),
  /** seconds since 1970 */
  exp: z.int(),
});
export type ClientClaims = z.infer<typeof ClientClaims>;

export function signClientToken(
  config: KeyConfig,
  claims: Omit<ClientClaims, 'exp'>,
  times: { nowMs: number; expiresAtMs: number },
): Promise<string> {
  return sign(config, { ...claims, aud: CLIENT_AUDIENCE }, times);
}

/** @returns null for any token that this edge did not sign for a client, or that has expired */
export async function verifyClientToken(
  config: KeyConfig,
  token: string,
  nowMs: number,
): Promise<ClientClaims | null> {
  const payload = await verify(config, token, { audience: CLIENT_AUDIENCE, nowMs });
  return ClientClaims.safeParse(payload).data ?? null;
}

async function verify(
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

async function sign(
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
