/** Signs and verifies the short-lived client tokens that an API key makes for browsers and phones. */
import * as z from 'zod';
import { type KeyConfig, sign, verify } from './edge-keys.ts';

const CLIENT_AUDIENCE = 'tollgate-client';

/** The token's claims: what it may do. All other terms are those of the key that made it. */
const ClientClaims = z.object({
  /** Token id. */
  jti: z.string(),
  /** Id of the key that made it. */
  key: z.string(),
  /** Model ids; null: those of the key. */
  models: z.array(z.string()).nullable(),
  /** The person in whose session the playground made it: it ends with that session and with their right to use it. */
  by: z.object({ person: z.string(), session: z.string() }).optional(),
  /** The most it may spend in its life, nano-USD. */
  cap: z.int().positive(),
  /** Seconds since 1970. */
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
