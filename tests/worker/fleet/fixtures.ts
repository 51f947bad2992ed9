/** Fixtures for tests of the fleet: nodes that hold their own keys, their calls, and an account to bill. */
import { env as bindings } from 'cloudflare:workers';
import { Hono } from 'hono';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import {
  EDGE,
  ENROL_PATH,
  type EnrolReply,
  HEARTBEAT_PATH,
  type Heartbeat,
  type Receipt,
} from '../../../gpu-pool/protocol/schemas.ts';
import { newId } from '../../../worker/domain/ids.ts';
import type { NodeState } from '../../../worker/domain/node.ts';
import type { Env } from '../../../worker/env.ts';
import { fleet } from '../../../worker/fleet/index.ts';
import { createJoinToken } from '../../../worker/fleet/nodes.ts';
import { operator } from '../../../worker/operator/index.ts';

export const env = bindings as unknown as Env;
export const R1 = 'deepseek-r1-0528';
export const R1_PATH = 'deepseek-ai/DeepSeek-R1-0528';
/** The routes that nodes and the operator's scripts call. */
export const server = new Hono<{ Bindings: Env }>().route('/', fleet).route('/operator/api', operator);
export const OPERATOR = { authorization: 'Bearer test-operator-token-0123456789' };

export interface TestNode {
  readonly privateKey: CryptoKey;
  readonly publicX: string;
}

export async function newTestNode(): Promise<TestNode> {
  const { privateKey, publicKey } = await generateKeyPair('EdDSA', { extractable: true });
  return { privateKey, publicX: (await exportJWK(publicKey)).x! };
}

export async function newJoinToken(model = R1): Promise<string> {
  const token = { name: 'gpu-1', modelId: model, hardware: '8xmi300x', actor: 'test', nowMs: Date.now() };
  return (await createJoinToken(env, token)).token;
}

export function enrolBody(node: TestNode, joinToken: string, change: Record<string, unknown> = {}) {
  return {
    join_token: joinToken,
    url: 'https://gpu-1.example.com:8443',
    public_key: { kty: 'OKP', crv: 'Ed25519', x: node.publicX },
    engine: { version: '0.5.20', model_path: R1_PATH, weight_version: 'default' },
    ...change,
  };
}

export function postJson(
  path: string,
  body: unknown,
  headers: Record<string, string> = {},
  using: Env = env,
) {
  const init = {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  };
  return server.request(path, init, using);
}

/** Enrols a node and puts it in the state given: by default active, as if it had passed its canary. */
export async function enrolledNode(
  model = R1,
  path = R1_PATH,
  state: NodeState = 'active',
): Promise<TestNode & { id: string }> {
  const node = await newTestNode();
  const engine = { version: '0.5.20', model_path: path, weight_version: 'default' };
  const response = await postJson(ENROL_PATH, enrolBody(node, await newJoinToken(model), { engine }));
  if (!response.ok) throw new Error(await response.text());
  const { node_id: id } = await response.json<EnrolReply>();
  await env.DB.prepare('update node set state = ?, revision = revision + 1 where id = ?')
    .bind(state, id)
    .run();
  return { ...node, id };
}

export function nodeToken(
  node: TestNode,
  issuer: string,
  { audience = EDGE, expiresInS = 60 }: { audience?: string; expiresInS?: number } = {},
): Promise<string> {
  return new SignJWT({})
    .setProtectedHeader({ alg: 'EdDSA' })
    .setIssuer(issuer)
    .setAudience(audience)
    .setExpirationTime(Math.floor(Date.now() / 1_000) + expiresInS)
    .sign(node.privateKey);
}

export const QUIET_LOAD = {
  running_requests: 0,
  waiting_requests: 0,
  waiting_tokens: 0,
  used_tokens: 0,
  capacity_tokens: 1_000_000,
  max_running_requests: 128,
  max_queued_requests: null,
  generation_tokens_per_second: 0,
  cache_hit_rate: 0,
};

export function heartbeat(change: Partial<Heartbeat> = {}): Heartbeat {
  return {
    sent_at_ms: Date.now(),
    agent_version: '0.1.0',
    engine: { healthy: true, version: '0.5.20', model_path: R1_PATH, weight_version: 'default' },
    load: QUIET_LOAD,
    in_flight: 0,
    draining: false,
    receipts: [],
    ...change,
  };
}

export async function sendHeartbeat(node: TestNode & { id: string }, body: unknown, using: Env = env) {
  const authorization = `Bearer ${await nodeToken(node, node.id)}`;
  return postJson(HEARTBEAT_PATH, body, { authorization }, using);
}

export async function newAccount(): Promise<string> {
  const id = newId('acct', Date.now());
  await env.DB.prepare('insert into account (id, name, created_at_ms) values (?, ?, ?)')
    .bind(id, 'Test', Date.now())
    .run();
  return id;
}

export function receipt(seq: number, accountId: string, change: Partial<Receipt> = {}): Receipt {
  return {
    seq,
    request_id: newId('req', Date.now()),
    account_id: accountId,
    model: R1,
    started_at_ms: Date.now() - 1_000,
    ended_at_ms: Date.now(),
    ttft_ms: 100,
    outcome: 'finished',
    usage: { prompt_tokens: 10, cached_tokens: 0, completion_tokens: 20, reasoning_tokens: 5 },
    ...change,
  };
}

export async function auditOf(subject: string): Promise<{ action: string; actor: string; detail: string }[]> {
  const rows = await env.DB.prepare(
    'select action, actor, detail from audit where subject = ? order by at_ms, id',
  )
    .bind(subject)
    .all<{ action: string; actor: string; detail: string }>();
  return rows.results;
}

/** The real environment, except that the Wallets of these accounts fail. */
export function withBrokenWallets(accountIds: readonly string[]): Env {
  const getByName = (name: string) => {
    if (!accountIds.includes(name)) return env.WALLET.getByName(name);
    return { reconcile: () => Promise.reject(new Error('this Wallet is down')) };
  };
  return { ...env, WALLET: { getByName } as unknown as Env['WALLET'] };
}

/** The real environment, and a record of the account ids whose Wallets were called. */
export function withRecordedWallets(): { using: Env; reached: string[] } {
  const reached: string[] = [];
  const getByName = (name: string) => {
    reached.push(name);
    return env.WALLET.getByName(name);
  };
  return { using: { ...env, WALLET: { getByName } as unknown as Env['WALLET'] }, reached };
}
