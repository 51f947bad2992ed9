/** The making of a client token, for whoever may: a key that asks the API for one, or a person in the playground. */
import type { ApiKeyRow } from '../db/keys.ts';
import { newId } from '../domain/ids.ts';
import type { NanoUsd } from '../domain/money.ts';
import type { Config } from '../env.ts';
import { signClientToken } from '../tokens/client-claims.ts';

export interface MintedToken {
  readonly id: string;
  readonly token: string;
  /** a whole second: that of its `exp` */
  readonly expiresAtMs: number;
}

/** @param request.cap what it may spend in all, more than 0. It ends with its key at the latest. */
export async function mintClientToken(
  config: Pick<Config, 'edgeSigningKey'>,
  request: {
    readonly key: Pick<ApiKeyRow, 'id' | 'expiresAtMs'>;
    /** model ids; null: those of the key */
    readonly models: readonly string[] | null;
    readonly cap: NanoUsd;
    readonly lifetimeS: number;
    readonly nowMs: number;
  },
): Promise<MintedToken> {
  const { key, models, cap, lifetimeS, nowMs } = request;
  const id = newId('tok', nowMs);
  const endsMs = Math.min(nowMs + lifetimeS * 1_000, key.expiresAtMs ?? Number.POSITIVE_INFINITY);
  const expiresAtMs = Math.floor(endsMs / 1_000) * 1_000;
  const claims = { jti: id, key: key.id, models: models && [...models], cap };
  return { id, token: await signClientToken(config, claims, { nowMs, expiresAtMs }), expiresAtMs };
}
