/** Tokens of the edge's calls to nodes: one a node and minute, signed once. */
import { TtlCache } from '../lib/ttl-cache.ts';
import { edgeKeys, type KeyConfig, sign } from './edge-keys.ts';

interface RequestToken {
  readonly text: string;
  readonly signedAtMs: number;
  readonly signing: CryptoKey;
}

/** A request token is signed at the beginning of each minute … */
const REQUEST_TOKEN_EVERY_S = 60;

/** … and lives for two, so that every request has one with life left; the stream that it opens may last longer. */
const REQUEST_TOKEN_LIFETIME_S = 120;

/** by node id; what was signed in a minute that is over is of no use */
const requestTokens = new TtlCache<string, RequestToken>({
  ttlMs: REQUEST_TOKEN_EVERY_S * 1_000,
  sizeMax: 1_0000,
});

/**
 * The token with which this minute's requests come to a node. It begins with the minute, so that all isolates sign the
 * same bytes (Ed25519 has no chance in it), and a node has one to verify.
 */
export async function requestToken(config: KeyConfig, nodeId: string, nowMs: number): Promise<string> {
  const { signing } = await edgeKeys(config);
  const signedAtMs = nowMs - (nowMs % (REQUEST_TOKEN_EVERY_S * 1_000));
  const known = requestTokens.get(nodeId, nowMs);
  if (known?.signedAtMs === signedAtMs && known.signing === signing) return known.text;
  const times = { nowMs: signedAtMs, expiresAtMs: signedAtMs + REQUEST_TOKEN_LIFETIME_S * 1_000 };
  const text = await sign(config, { aud: nodeId }, times);
  requestTokens.set(nodeId, { text, signedAtMs, signing }, nowMs);
  return text;
}
