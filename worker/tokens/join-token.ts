/** Signs and verifies join tokens. An operator gives one to a node, and its agent enrols with it, once. */
import * as z from 'zod';
import { HARDWARE, JOIN_AUDIENCE } from '../../gpu-pool/protocol/constants.ts';
import { type KeyConfig, sign, verify } from './edge-keys.ts';

const JoinClaims = z.object({
  /** Join id: names the row that records whether the token was used. */
  jti: z.string(),
  /** Origin of the edge at which to enrol. */
  edge: z.string(),
  name: z.string(),
  model: z.string(),
  // The same as the protocol's `Hardware` schema, whose module would load the schemas of all node messages.
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
