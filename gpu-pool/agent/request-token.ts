/** Whether the edge really sent this: the signature, issuer, audience and age of a request token. */
import { createRemoteJWKSet, errors, type JWTPayload, jwtVerify } from 'jose';
import { EDGE, JWKS_PATH, RequestClaims } from '../protocol.ts';
import type { Refusal } from './refusal.ts';

/** The edge signs for 60 s; more is refused, so that remembering used ids stays bounded. */
const LIFETIME_MAX_SECONDS = 300;
/** The clocks of edge and node may differ by this much. */
const CLOCK_TOLERANCE_SECONDS = 10;
/** The id becomes the engine's rid and a line of the journal. */
const REQUEST_ID = /^[\w.:-]{8,128}$/;

export interface RequestToken {
  claims: RequestClaims;
  /** from then on the token is refused by its age alone */
  expiresAtMs: number;
}

export type VerifyRequestToken = (authorization: string | undefined) => Promise<RequestToken | Refusal>;

export function createRequestTokenVerifier(options: {
  edgeUrl: string;
  nodeId: string;
  now: () => number;
}): VerifyRequestToken {
  const keys = createRemoteJWKSet(new URL(JWKS_PATH, options.edgeUrl), { timeoutDuration: 5_000 });
  return async (authorization) => {
    const token = /^Bearer ([\w.-]+)$/i.exec(authorization ?? '')?.[1];
    if (token === undefined || token.length > 8_192) return unauthorized('The request token is missing.');
    const verified = await verify(token);
    if ('code' in verified) return verified;
    const claims = RequestClaims.safeParse(verified.payload);
    const { exp, iat } = verified.payload;
    if (!claims.success || !REQUEST_ID.test(claims.data.jti) || exp === undefined) {
      return unauthorized('The request token lacks a claim.');
    }
    if (
      exp * 1_000 - options.now() > LIFETIME_MAX_SECONDS * 1_000 ||
      exp - (iat ?? exp) > LIFETIME_MAX_SECONDS
    ) {
      return unauthorized('The request token lives too long.');
    }
    return { claims: claims.data, expiresAtMs: (exp + CLOCK_TOLERANCE_SECONDS) * 1_000 };
  };

  async function verify(token: string): Promise<{ payload: JWTPayload } | Refusal> {
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
      // Anything but a verdict on the token means that the edge's keys could not be read.
      if (!(error instanceof errors.JOSEError) || UNREADABLE_KEYS.has(error.code)) {
        return { code: 'overloaded', message: 'The keys of the edge cannot be read.', retryAfterSeconds: 1 };
      }
      return unauthorized('The request token is not for this node or not from this edge.');
    }
  }
}

const UNREADABLE_KEYS = new Set(['ERR_JWKS_TIMEOUT', 'ERR_JWKS_INVALID', 'ERR_JOSE_GENERIC']);

function unauthorized(message: string): Refusal {
  return { code: 'unauthorized', message };
}
