/** Minting of client tokens, for a key that requests one from the API and for a person in the playground. */
import type { ApiKeyRow } from '../db/keys.ts';
import { newId } from '../domain/ids.ts';
import type { NanoUsd } from '../domain/money.ts';
import type { Config } from '../env.ts';
import { signClientToken } from '../tokens/client-claims.ts';

export interface MintedToken {
  readonly id: string;
  readonly token: string;
  /** The same instant as the token's `exp`, so a whole second. */
  readonly expiresAtMs: number;
}

/**
 * Signs a token for a key. It expires with its key at the latest.
 * @param request.cap the most it may spend in all; more than 0
 */
export async function mintClientToken(
  config: Pick<Config, 'edgeSigningKey' | 'beside'>,
  request: {
    readonly key: Pick<ApiKeyRow, 'id' | 'expiresAtMs'>;
    /** Allowed model ids; null: those of the key. */
    readonly models: readonly string[] | null;
    readonly cap: NanoUsd;
    readonly lifetimeS: number;
    /** The person for whom it is made, and their session; absent: it is made for the holder of the key. */
    readonly by?: { readonly person: string; readonly session: string };
    readonly nowMs: number;
  },
): Promise<MintedToken> {
  const { key, models, cap, lifetimeS, by, nowMs } = request;
  const id = newId('tok', nowMs);
  const latestExpiryMs = Math.min(nowMs + lifetimeS * 1_000, key.expiresAtMs ?? Number.POSITIVE_INFINITY);
  const expiresAtMs = Math.floor(latestExpiryMs / 1_000) * 1_000;
  const claims = { jti: id, key: key.id, models: models && [...models], cap, ...(by && { by }) };
  return { id, token: await signClientToken(config, claims, { nowMs, expiresAtMs }), expiresAtMs };
}
