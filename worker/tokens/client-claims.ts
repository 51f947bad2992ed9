/** Short-lived tokens of browsers and phones: their claims, signed and verified. */
import * as z from 'zod';
import { type KeyConfig, sign, verify } from './edge-keys.ts';

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
