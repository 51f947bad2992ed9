/** Request tokens, which authenticate the edge's calls to nodes. Each is signed once per node and minute. */
import { TtlCache } from '../lib/ttl-cache.ts';
import { edgeKeys, type KeyConfig, sign } from './edge-keys.ts';

interface RequestToken {
  readonly text: string;
  readonly signedAtMs: number;
  readonly signing: CryptoKey;
}

/** A token is dated to the beginning of its minute. */
const REQUEST_TOKEN_EVERY_S = 60;

/**
 * A token lives for two minutes, so every request has one that is valid for a
 * minute more. The stream it opens may last longer.
 */
const REQUEST_TOKEN_LIFETIME_S = 120;

/** Tokens by node id. They are kept for a minute, as a token is not used after its minute. */
const requestTokens = new TtlCache<string, RequestToken>({
  ttlMs: REQUEST_TOKEN_EVERY_S * 1_000,
  sizeMax: 10_000,
});

/**
 * The token of this minute's requests to a node. It is dated to the minute, so that all isolates sign the same bytes
 * (Ed25519 signatures are deterministic) and a node verifies one token a minute.
 */
export async function requestToken(config: KeyConfig, nodeId: string, nowMs: number): Promise<string> {
  const { signing } = await edgeKeys(config);
  const signedAtMs = nowMs - (nowMs % (REQUEST_TOKEN_EVERY_S * 1_000));
  const cached = requestTokens.get(nodeId, nowMs);
  if (cached?.signedAtMs === signedAtMs && cached.signing === signing) return cached.text;
  const times = { nowMs: signedAtMs, expiresAtMs: signedAtMs + REQUEST_TOKEN_LIFETIME_S * 1_000 };
  const text = await sign(config, { aud: nodeId }, times);
  requestTokens.set(nodeId, { text, signedAtMs, signing }, nowMs);
  return text;
}
