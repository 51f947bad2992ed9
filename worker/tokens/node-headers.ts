/**
 * Headers of every call from the edge to a node: a token that authenticates
 * the edge, and the request's claims beside it.
 */
import { CLAIMS_HEADER } from '../../gpu-pool/protocol/constants.ts';
import type { RequestClaims } from '../../gpu-pool/protocol/schemas.ts';
import type { KeyConfig } from './edge-keys.ts';
import { requestToken } from './request-token.ts';

export async function nodeHeaders(
  config: KeyConfig,
  nodeId: string,
  claims: RequestClaims,
): Promise<Record<string, string>> {
  return {
    authorization: `Bearer ${await requestToken(config, nodeId, Date.now())}`,
    [CLAIMS_HEADER]: ascii(JSON.stringify(claims)),
    'content-type': 'application/json',
  };
}

/** Escapes all other characters, since a header carries only ASCII; the JSON keeps its meaning. */
function ascii(json: string): string {
  return json.replace(/[^\x20-\x7e]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
