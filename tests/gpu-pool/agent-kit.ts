/** What the agent's tests share: a fake edge, an engine that sends exactly the bytes a test scripts, a caller. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLocalJWKSet, exportJWK, generateKeyPair, type JWK, jwtVerify, SignJWT } from 'jose';
import { onTestFinished } from 'vitest';
import { type Agent, type AgentOptions, startAgent } from '../../gpu-pool/agent/agent.ts';
import {
  EDGE,
  EnrolRequest,
  Heartbeat,
  type HeartbeatReply,
  NodeChunk,
  NodeError,
  type Receipt,
} from '../../gpu-pool/protocol.ts';

export const NODE_ID = 'node_test';
export const MODEL_PATH = 'deepseek-ai/DeepSeek-R1-0528';
export const SALT = '0123456789abcdef0123456789abcdef';

export async function tempDir(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'tollgate-agent-'));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  return directory;
}

async function serve(
  handler: (req: IncomingMessage, res: ServerResponse) => void,
): Promise<{ server: Server; url: string }> {
  const server = createServer(handler);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  return { server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

async function readBody(req: IncomingMessage): Promise<unknown> {
  let text = '';
  for await (const chunk of req) text += chunk;
  return text === '' ? null : JSON.parse(text);
}

/** An edge that enrols whoever brings 'join-me', keeps every heartbeat, and does what the test sets. */
export class FakeEdge {
  url = '';
  readonly heartbeats: Heartbeat[] = [];
  readonly enrolments: EnrolRequest[] = [];
  directive: HeartbeatReply['directive'] = 'serve';
  acknowledging = true;
  /** answers heartbeats with this status instead */
  heartbeatStatus = 200;
  readonly #acknowledged = new Set<number>();
  #nodeKey: JWK | null = null;
  #privateKey!: CryptoKey;
  #publicJwk!: JWK;
  /** further keys in the JWKS */
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

  /** Every receipt that arrived, once each, by arrival. */
  get receipts(): Receipt[] {
    const seen = new Map<number, Receipt>();
    for (const { receipts } of this.heartbeats)
      for (const receipt of receipts) seen.set(receipt.seq, receipt);
    return [...seen.values()];
  }

  async sign(
    claims: Record<string, unknown> = {},
    header: Record<string, unknown> = {},
    key?: CryptoKey | Uint8Array,
  ) {
    const nowSeconds = Math.floor(Date.now() / 1_000);
    return new SignJWT({
      iss: EDGE,
      aud: NODE_ID,
      sub: 'acct_1',
      jti: requestId(),
      model: 'deepseek-reasoner',
      max_tokens: 1_000,
      iat: nowSeconds,
      exp: nowSeconds + 60,
      ...claims,
    })
      .setProtectedHeader({ alg: 'EdDSA', kid: 'edge-1', ...header })
      .sign(key ?? this.#privateKey);
  }

  async #handle(req: IncomingMessage, res: ServerResponse): Promise<void> {
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
        model: 'deepseek-reasoner',
        hardware: '8xh200',
        model_paths: [MODEL_PATH],
      });
    }
    if (req.url !== '/fleet/heartbeat' || this.#nodeKey === null) return reply(404, {});
    if (this.heartbeatStatus !== 200) return reply(this.heartbeatStatus, {});
    const token = (req.headers.authorization ?? '').replace('Bearer ', '');
    await jwtVerify(token, createLocalJWKSet({ keys: [this.#nodeKey] }), {
      issuer: NODE_ID,
      audience: EDGE,
      algorithms: ['EdDSA'],
    });
    const heartbeat = Heartbeat.parse(body);
    this.heartbeats.push(heartbeat);
    const acknowledged = this.acknowledging ? heartbeat.receipts.map(({ seq }) => seq) : [];
    for (const seq of acknowledged) this.#acknowledged.add(seq);
    reply(200, { directive: this.directive, acknowledged });
  }
}

export interface ChatCall {
  body: Record<string, unknown>;
  req: IncomingMessage;
  res: ServerResponse;
}

/** An engine whose chat answers are whatever bytes the test writes. */
export class ScriptedEngine {
  url = '';
  readonly calls: ChatCall[] = [];
  readonly aborts: string[] = [];
  /** what /health answers */
  health = 200;
  loads: unknown = { loads: [rankLoad(3), rankLoad(4)] };
  onChat: (call: ChatCall) => void = ({ res }) => sse(res, [...answerEvents(['Hello', ' world']), '[DONE]']);
  onAbort: (rid: string) => void = () => {};

  static async start(): Promise<ScriptedEngine> {
    const engine = new ScriptedEngine();
    const { url } = await serve((req, res) => void engine.#handle(req, res));
    engine.url = url;
    return engine;
  }

  async #handle(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const json = (status: number, body: unknown) => {
      res.writeHead(status, { 'content-type': 'application/json' });
      res.end(JSON.stringify(body));
    };
    const body = (await readBody(req).catch(() => null)) as Record<string, unknown>;
    if (req.url === '/model_info') return json(200, { model_path: MODEL_PATH, weight_version: 'w1' });
    if (req.url === '/server_info') return json(200, { version: '0.5.20', api_key: 'engine-secret' });
    if (req.url === '/health') return json(this.health, {});
    if (req.url?.startsWith('/v1/loads')) return this.loads ? json(200, this.loads) : json(404, {});
    if (req.url === '/get_load') return json(200, [{ num_reqs: 5, num_waiting_reqs: 2, num_tokens: 70 }]);
    if (req.url === '/abort_request') {
      this.aborts.push(body.rid as string);
      this.onAbort(body.rid as string);
      return json(200, {});
    }
    const call = { body, req, res };
    this.calls.push(call);
    this.onChat(call);
  }
}

function rankLoad(running: number) {
  return {
    dp_rank: 0,
    num_running_reqs: running,
    num_waiting_reqs: 1,
    num_waiting_uncached_tokens: 10,
    num_used_tokens: 100,
    max_total_num_tokens: 1_000,
    max_running_requests: 64,
    max_queued_requests: null,
    token_usage: 0.1,
    gen_throughput: 50.5,
    cache_hit_rate: 0.5,
  };
}

/** Starts a stream of events as SGLang writes them; objects become JSON. */
export function sse(res: ServerResponse, events: unknown[], { end = true } = {}): void {
  if (!res.headersSent) res.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' });
  res.write(sseText(events));
  if (end) res.end();
}

export function sseText(events: unknown[], newline = '\n'): string {
  return events
    .map((event) => `data: ${typeof event === 'string' ? event : JSON.stringify(event)}${newline}${newline}`)
    .join('');
}

interface EventParts {
  index?: number;
  content?: string | null;
  reasoning?: string | null;
  finish?: string | null;
  usage?: unknown;
  logprobs?: unknown;
  toolCalls?: unknown;
  role?: string;
}

/** A chunk with every field that SGLang sends, nulls and engine-only ones included. */
export function event(parts: EventParts): Record<string, unknown> {
  return {
    id: 'req',
    object: 'chat.completion.chunk',
    created: 1,
    model: MODEL_PATH,
    choices: [
      {
        index: parts.index ?? 0,
        delta: {
          role: parts.role ?? null,
          content: parts.content ?? null,
          reasoning_content: parts.reasoning ?? null,
          tool_calls: parts.toolCalls ?? null,
          hidden_states: null,
        },
        logprobs: parts.logprobs ?? null,
        finish_reason: parts.finish ?? null,
        matched_stop: parts.finish ? 1 : null,
      },
    ],
    usage: parts.usage,
    metadata: { weight_version: 'w1' },
  };
}

export function usage(
  completion: number,
  { prompt = 12, reasoning = 0, cached = null as number | null } = {},
) {
  return {
    prompt_tokens: prompt,
    total_tokens: prompt + completion,
    completion_tokens: completion,
    prompt_tokens_details: cached === null ? null : { cached_tokens: cached },
    reasoning_tokens: reasoning,
  };
}

/** A last chunk without choices. */
export function total(counts: unknown): Record<string, unknown> {
  return { id: 'req', object: 'chat.completion.chunk', choices: [], usage: counts };
}

/** A whole answer of one token a piece, without [DONE]. */
export function answerEvents(pieces: string[]): unknown[] {
  return [
    event({ role: 'assistant', content: '' }),
    ...pieces.map((content, i) => event({ content, usage: usage(i + 1) })),
    event({ finish: 'stop' }),
    total(usage(pieces.length, { cached: 4 })),
  ];
}

export interface Stage {
  edge: FakeEdge;
  engine: ScriptedEngine;
  agent: Agent;
  stateDir: string;
  logs: string[];
}

export async function stage(options: Partial<AgentOptions> = {}): Promise<Stage> {
  const [edge, engine, stateDir] = await Promise.all([FakeEdge.start(), ScriptedEngine.start(), tempDir()]);
  const logs: string[] = [];
  const agent = await startTestAgent({
    engineUrl: engine.url,
    edgeUrl: edge.url,
    stateDir,
    log: (name, fields) => logs.push(JSON.stringify({ name, ...fields })),
    ...options,
  });
  return { edge, engine, agent, stateDir, logs };
}

export async function startTestAgent(
  options: Partial<AgentOptions> & { engineUrl: string; stateDir: string },
) {
  const agent = await startAgent({
    joinToken: 'join-me',
    heartbeatIntervalMs: 50,
    log: () => {},
    ...options,
    deadlines: { firstTokenMs: 3_000, idleMs: 3_000, abortGraceMs: 1_000, ...options.deadlines },
  });
  onTestFinished(() => agent.kill().catch(() => {}));
  return agent;
}

export interface Generated {
  status: number;
  headers: Headers;
  text: string;
  chunks: NodeChunk[];
  error: NodeError['error'] | null;
  done: boolean;
}

export const BODY = {
  messages: [{ role: 'user', content: 'a private prompt' }],
  max_tokens: 100,
  cache_salt: SALT,
};

export async function generate(
  { agent, edge }: { agent: { url: string }; edge: FakeEdge },
  {
    body = BODY as unknown,
    claims = {} as Record<string, unknown>,
    token = undefined as string | undefined,
  } = {},
): Promise<Generated> {
  const response = await post(agent.url, '/v1/generate', token ?? (await edge.sign(claims)), body);
  return read(response);
}

export function post(
  url: string,
  path: string,
  token: string,
  body: unknown,
  signal?: AbortSignal,
): Promise<Response> {
  return fetch(`${url}${path}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
    signal: signal ?? null,
  });
}

/** Reads an answer to its end; every event must be a NodeChunk, a NodeError, or [DONE] at the end. */
export async function read(response: Response): Promise<Generated> {
  const text = await response.text();
  const { status, headers } = response;
  if (status !== 200) {
    return { status, headers, text, chunks: [], error: NodeError.parse(JSON.parse(text)).error, done: false };
  }
  const events = text.split('\n\n').filter((part) => part !== '');
  const data = events.map((part) => part.replace(/^data: /, ''));
  const done = data.at(-1) === '[DONE]';
  const parsed = data.slice(0, done ? -1 : undefined).map((part) => JSON.parse(part));
  const failed = parsed.at(-1)?.error !== undefined;
  const chunks = (failed ? parsed.slice(0, -1) : parsed).map((chunk) => NodeChunk.strict().parse(chunk));
  return { status, headers, text, chunks, error: failed ? NodeError.parse(parsed.at(-1)).error : null, done };
}

export function textOf(
  chunks: NodeChunk[],
  field: 'content' | 'reasoning_content' = 'content',
  index = 0,
): string {
  return chunks
    .flatMap(({ choices }) => choices.filter((choice) => choice.index === index))
    .map(({ delta }) => delta[field] ?? '')
    .join('');
}

let requests = 0;
export function requestId(): string {
  requests += 1;
  return `req_${String(requests).padStart(20, '0')}`;
}

export async function until<T>(what: () => T | undefined | null | false, timeoutMs = 4_000): Promise<T> {
  const end = Date.now() + timeoutMs;
  for (;;) {
    const value = what();
    if (value) return value;
    if (Date.now() > end) throw new Error(`never became true: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

export interface AgentProcess {
  child: ChildProcess;
  url: string;
  stdout: () => string;
  stderr: () => string;
  exit: Promise<number | null>;
}

/** A real `npm run node` process; resolves when it listens, or has exited. */
export async function spawnAgent(args: string[], env: Record<string, string> = {}): Promise<AgentProcess> {
  const child = spawn(process.execPath, ['gpu-pool/agent/main.ts', ...args], {
    env: { PATH: process.env.PATH ?? '', HOME: tmpdir(), ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk) => {
    stdout += chunk;
  });
  child.stderr.on('data', (chunk) => {
    stderr += chunk;
  });
  let exited = false;
  const exit = new Promise<number | null>((resolve) => {
    child.on('close', (code) => {
      exited = true;
      resolve(code);
    });
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  await until(() => /^\{.*\n/.test(stdout) || exited, 10_000);
  const url = exited ? '' : (JSON.parse(stdout) as { listening: string }).listening;
  return { child, url, stdout: () => stdout, stderr: () => stderr, exit };
}
