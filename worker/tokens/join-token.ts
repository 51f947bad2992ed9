/** Join tokens: what an operator hands to a node so that its agent may enrol once. */
import * as z from 'zod';
import { HARDWARE, JOIN_AUDIENCE } from '../../gpu-pool/protocol/constants.ts';
import { type KeyConfig, sign, verify } from './edge-keys.ts';

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
