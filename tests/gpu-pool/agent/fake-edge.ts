/** A fake edge for the agent's tests, and the headers of its requests. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createLocalJWKSet, exportJWK, generateKeyPair, type JWK, jwtVerify, SignJWT } from 'jose';
import type { ModelProfile } from '../../../gpu-pool/protocol/model-profile.ts';
import {
  CLAIMS_HEADER,
  EDGE,
  EnrolRequest,
  Heartbeat,
  type HeartbeatReply,
  type Receipt,
  type SoldModel,
} from '../../../gpu-pool/protocol/schemas.ts';
import { readBody, serve } from './http.ts';

export const NODE_ID = 'node_test';
export const MODEL_PATH = 'deepseek-ai/DeepSeek-R1-0528';

/**
 * A fake edge that enrols every agent whose join token begins with 'join-me', keeps every heartbeat, and behaves as
 * the test sets.
 */
export class FakeEdge {
  url = '';
  readonly heartbeats: Heartbeat[] = [];
  readonly enrolments: EnrolRequest[] = [];
  /** Id of the model that nodes enrol for. An edge that sends no profile lets the agent use the one it was shipped with. */
  model = 'unknown-model';
  modelPaths = [MODEL_PATH];
  /** The model as it is sold; undefined: this edge is of a version that does not say. */
  sold: unknown;
  /** How many replies to heartbeats had it. */
  soldReplies = 0;
  directive: HeartbeatReply['directive'] = 'serve';
  acknowledging = true;
  /** Drops every connection, as a lost network does. */
  unreachable = false;
  /** Status of the answer to heartbeats. */
  heartbeatStatus = 200;
  readonly #acknowledged = new Set<number>();
  #nodeKey: JWK | null = null;
  #privateKey!: CryptoKey;
  #publicJwk!: JWK;
  /** Further keys in the JWKS. */
  readonly extraKeys: JWK[] = [];

  static async start(): Promise<FakeEdge> {
    const edge = new FakeEdge();
    const keys = await generateKeyPair('EdDSA', { crv: 'Ed25519', extractable: true });
    edge.#privateKey = keys.privateKey;
    edge.#publicJwk = { ...(await exportJWK(keys.publicKey)), alg: 'EdDSA', kid: 'edge-1' };
    const { url } = await serve((req, res) => void edge.#handle(req, res));
    edge.url = url;
    return edge;
  }

  get publicJwk(): JWK {
    return this.#publicJwk;
  }

  /** Every receipt that arrived, once each, in order of arrival. */
  get receipts(): Receipt[] {
    const seen = new Map<number, Receipt>();
    for (const { receipts } of this.heartbeats)
      for (const receipt of receipts) seen.set(receipt.seq, receipt);
    return [...seen.values()];
  }

  /** Headers of a request: claims, and a token. @param token fields that differ from those of a valid token */
  async sign(
    claims: Record<string, unknown> = {},
    token: Record<string, unknown> = {},
    header: Record<string, unknown> = {},
    key?: CryptoKey | Uint8Array,
  ): Promise<Record<string, string>> {
    const nowSeconds = Math.floor(Date.now() / 1_000);
    const signed = new SignJWT({ iss: EDGE, aud: NODE_ID, iat: nowSeconds, exp: nowSeconds + 60, ...token });
    const text = await signed
      .setProtectedHeader({ alg: 'EdDSA', kid: 'edge-1', ...header })
      .sign(key ?? this.#privateKey);
    return requestHeaders(text, claims);
  }

  async #handle(req: IncomingMessage, res: ServerResponse): Promise<void> {
    if (this.unreachable) return void req.socket.destroy();
    const reply = (status: number, body: unknown) => {
      res.writeHead(status, { 'content-type': 'application/json' });
      res.end(JSON.stringify(body));
    };
    const body = await readBody(req).catch(() => null);
    if (req.url === '/.well-known/jwks.json')
      return reply(200, { keys: [this.#publicJwk, ...this.extraKeys] });
    if (req.url === '/fleet/enrol') {
      const request = EnrolRequest.parse(body);
      if (!request.join_token.startsWith('join-me')) {
        return reply(401, { error: { message: 'The join token was used before.' } });
      }
      this.enrolments.push(request);
      this.#nodeKey = { ...request.public_key, alg: 'EdDSA' };
      return reply(200, {
        node_id: NODE_ID,
        name: 'test',
        model: this.model,
        hardware: '8xh200',
        model_paths: this.modelPaths,
        sold: this.sold,
      });
    }
    if (req.url === '/fleet/model') {
      const known = req.headers.authorization?.startsWith('Bearer join-me') && this.sold !== undefined;
      return known ? reply(200, { model: this.model, hardware: '8xh200', sold: this.sold }) : reply(404, {});
    }
    if (req.url !== '/fleet/heartbeat' || this.#nodeKey === null) return reply(404, {});
    if (this.heartbeatStatus !== 200) return reply(this.heartbeatStatus, {});
    const token = (req.headers.authorization ?? '').replace('Bearer ', '');
    const verified = await jwtVerify(token, createLocalJWKSet({ keys: [this.#nodeKey] }), {
      issuer: NODE_ID,
      audience: EDGE,
      algorithms: ['EdDSA'],
    }).catch(() => null);
    // A node that has enrolled here before another one did.
    if (verified === null) return reply(401, {});
    const heartbeat = Heartbeat.parse(body);
    this.heartbeats.push(heartbeat);
    const acknowledged = this.acknowledging ? heartbeat.receipts.map(({ seq }) => seq) : [];
    for (const seq of acknowledged) this.#acknowledged.add(seq);
    const { version } = (this.sold ?? {}) as { version?: string };
    const isHeld = this.sold === undefined || heartbeat.sold_version === version;
    if (!isHeld) this.soldReplies += 1;
    const sold = isHeld ? {} : { sold: this.sold };
    reply(200, { directive: this.directive, acknowledged, ...sold });
  }
}

export function requestHeaders(token: string, claims: Record<string, unknown> = {}): Record<string, string> {
  const good = { sub: 'acct_1', jti: requestId(), model: 'deepseek-reasoner', max_tokens: 1_000 };
  return { authorization: `Bearer ${token}`, [CLAIMS_HEADER]: JSON.stringify({ ...good, ...claims }) };
}

export function soldModel(profile: ModelProfile, change: Partial<SoldModel> = {}): SoldModel {
  return { version: 'v1', profile, context_tokens: 131_072, output_tokens_max: 32_768, ...change };
}

let requests = 0;
export function requestId(): string {
  requests += 1;
  return `req_${String(requests).padStart(20, '0')}`;
}
