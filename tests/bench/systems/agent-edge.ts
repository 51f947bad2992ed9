/** The edge as an agent needs it: keys to know requests by, and a reply to its heartbeats that acknowledges all receipts. */
import { generateKeyPairSync, sign } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { EDGE, type Heartbeat, type HeartbeatReply, JWKS_PATH } from '../../../gpu-pool/protocol/schemas.ts';

const KEY_ID = 'bench';
/** As the edge signs them: one token serves many requests. */
const TOKEN_LIFETIME_S = 120;
const TOKEN_REUSE_MS = 60_000;

export interface AgentEdge {
  readonly url: string;
  /** Receipts that have arrived. */
  readonly receipts: number;
  /** A request token for this node that is valid for a minute at least. */
  token(nodeId: string): string;
  stop(): void;
}

export async function startAgentEdge(): Promise<AgentEdge> {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const keys = { keys: [{ ...publicKey.export({ format: 'jwk' }), kid: KEY_ID, alg: 'EdDSA' }] };
  let receipts = 0;
  const server = createServer(async (request, response) => {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    response.setHeader('content-type', 'application/json');
    if (request.url === JWKS_PATH) return response.end(JSON.stringify(keys));
    const heartbeat = JSON.parse(Buffer.concat(parts).toString()) as Heartbeat;
    receipts += heartbeat.receipts.length;
    const acknowledged = heartbeat.receipts.map(({ seq }) => seq);
    const reply: HeartbeatReply = { directive: 'serve', acknowledged };
    response.end(JSON.stringify(reply));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  let signed = { text: '', atMs: 0 };
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    get receipts() {
      return receipts;
    },
    token: (nodeId) => {
      const nowMs = Date.now();
      if (nowMs - signed.atMs < TOKEN_REUSE_MS) return signed.text;
      const iat = Math.floor(nowMs / 1_000);
      const claims = { iss: EDGE, aud: nodeId, iat, exp: iat + TOKEN_LIFETIME_S };
      const text = `${base64({ alg: 'EdDSA', kid: KEY_ID })}.${base64(claims)}`;
      signed = {
        text: `${text}.${sign(null, Buffer.from(text), privateKey).toString('base64url')}`,
        atMs: nowMs,
      };
      return signed.text;
    },
    stop: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

function base64(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}
