/**
 * The edge's public keys, by which the agent knows the edge's requests. They are read when a request needs them, and as
 * soon as the edge names one in its reply to a heartbeat that the agent does not hold: the edge signs with a new key only
 * when the agents hold it.
 */
import { createRemoteJWKSet } from 'jose';
import { JWKS_PATH } from '../protocol/schemas.ts';

const TIMEOUT_MS = 5_000;

export interface EdgeKeys {
  /** Finds the key of a token, for jose's `jwtVerify`. */
  readonly find: ReturnType<typeof createRemoteJWKSet>;
  /** Ids of the keys that the agent holds; empty before the first is needed. */
  ids(): string[];
  /** Reads the keys again if one of these is missing. Nothing is lost if that fails: the next heartbeat names it again. */
  expect(ids: readonly string[]): Promise<void>;
}

export function edgeKeysOf(edgeUrl: string): EdgeKeys {
  const find = createRemoteJWKSet(new URL(JWKS_PATH, edgeUrl), { timeoutDuration: TIMEOUT_MS });
  const ids = () => (find.jwks()?.keys ?? []).flatMap(({ kid }) => (kid === undefined ? [] : [kid]));
  return {
    find,
    ids,
    async expect(expected) {
      const held = new Set(ids());
      if (expected.some((id) => !held.has(id))) await find.reload().catch(() => undefined);
    },
  };
}
