/**
 * Verifies that the edge sent a request: the signature, issuer, audience and age of its token, and the shape of the
 * claims beside it. The edge signs one token for many requests, so each token is verified once and then remembered.
 */
import type { IncomingHttpHeaders } from 'node:http';
import { errors, type JWTPayload, jwtVerify } from 'jose';
import { CLAIMS_HEADER, EDGE, RequestClaims } from '../protocol/schemas.ts';
import type { EdgeKeys } from './edge-keys.ts';
import type { RequestError } from './request-error.ts';

/**
 * The edge signs for two minutes. A longer lifetime is refused, so that the set of used request ids stays bounded.
 */
const LIFETIME_MAX_SECONDS = 300;
/** The clocks of edge and node may differ by this much. */
const CLOCK_TOLERANCE_SECONDS = 10;
/** A request id becomes the engine's rid and part of a journal line. */
const REQUEST_ID = /^[\w.:-]{8,128}$/;
/**
 * All isolates of an edge sign the same token for a minute; the rest is for edges whose clocks differ and for
 * changing keys.
 */
const VERIFIED_MAX = 64;

export interface RequestToken {
  claims: RequestClaims;
  /** From then on the token is refused for its age alone. */
  expiresAtMs: number;
}

export type VerifyRequestToken = (headers: IncomingHttpHeaders) => Promise<RequestToken | RequestError>;

export function createRequestTokenVerifier(options: {
  keys: EdgeKeys['find'];
  nodeId: string;
  now: () => number;
}): VerifyRequestToken {
  const { keys } = options;
  /** Verified tokens, oldest first, each with its expiry. */
  const verifiedTokens = new Map<string, number>();

  return async (headers) => {
    const token = /^Bearer ([\w.-]+)$/i.exec(headers.authorization ?? '')?.[1];
    if (token === undefined || token.length > 8_192) return unauthorized('The request token is missing.');
    const expiresAtMs = cachedExpiry(token) ?? (await verify(token));
    if (typeof expiresAtMs !== 'number') return expiresAtMs;
    const claims = parseClaims(headers[CLAIMS_HEADER]);
    return claims
      ? { claims, expiresAtMs }
      : unauthorized('The request token’s claims are missing or invalid.');
  };

  function cachedExpiry(token: string): number | null {
    const expiresAtMs = verifiedTokens.get(token);
    return expiresAtMs !== undefined && options.now() < expiresAtMs ? expiresAtMs : null;
  }

  /** Verifies a token that is not remembered. @returns when it expires */
  async function verify(token: string): Promise<number | RequestError> {
    const signature = await verifySignature(token);
    if ('code' in signature) return signature;
    const { aud, exp, iat } = signature.payload;
    // A token for several nodes could be replayed by one of them to another.
    if (exp === undefined || aud !== options.nodeId)
      return unauthorized('The request token has a missing or wrong claim.');
    if (
      exp * 1_000 - options.now() > LIFETIME_MAX_SECONDS * 1_000 ||
      exp - (iat ?? exp) > LIFETIME_MAX_SECONDS
    ) {
      return unauthorized('The request token’s lifetime is too long.');
    }
    const expiresAtMs = (exp + CLOCK_TOLERANCE_SECONDS) * 1_000;
    if (verifiedTokens.size >= VERIFIED_MAX) verifiedTokens.delete(verifiedTokens.keys().next().value!);
    verifiedTokens.set(token, expiresAtMs);
    return expiresAtMs;
  }

  async function verifySignature(token: string): Promise<{ payload: JWTPayload } | RequestError> {
    try {
      return await jwtVerify(token, keys, {
        issuer: EDGE,
        audience: options.nodeId,
        algorithms: ['EdDSA'],
        clockTolerance: CLOCK_TOLERANCE_SECONDS,
        currentDate: new Date(options.now()),
      });
    } catch (error) {
      if (error instanceof errors.JWTExpired) return unauthorized('The request token has expired.');
      // Any other error is not a verdict on the token: the edge's keys could not be read.
      if (!(error instanceof errors.JOSEError) || UNREADABLE_KEYS.has(error.code)) {
        return { code: 'overloaded', message: 'The edge’s keys cannot be fetched.', retryAfterSeconds: 1 };
      }
      return unauthorized('The request token is not for this node or not from this edge.');
    }
  }
}

const UNREADABLE_KEYS = new Set(['ERR_JWKS_TIMEOUT', 'ERR_JWKS_INVALID', 'ERR_JOSE_GENERIC']);

function parseClaims(header: string | string[] | undefined): RequestClaims | null {
  // A header that was sent twice arrives joined, and is not JSON.
  if (typeof header !== 'string') return null;
  try {
    const claims = RequestClaims.parse(JSON.parse(header));
    return REQUEST_ID.test(claims.jti) ? claims : null;
  } catch {
    return null;
  }
}

function unauthorized(message: string): RequestError {
  return { code: 'unauthorized', message };
}
