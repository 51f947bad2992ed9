/** A simulated node: the agent's server, journal and heartbeats before an engine that generates over time. */
import { createPrivateKey, createPublicKey, type KeyObject, sign } from 'node:crypto';
import {
  ABORT_PATH,
  type AnswerFormat,
  type Budget,
  EDGE,
  EXTEND_PATH,
  HEARTBEAT_PATH,
  RECEIPTS_PER_HEARTBEAT_MAX,
  type Receipt,
  type RequestClaims,
} from '../../gpu-pool/protocol/schemas.ts';
import type { EngineCount } from '../laws/world.ts';
import { ActiveRequest, type RequestHost } from './active-request.ts';
import type { Exchange } from './exchange.ts';
import type { NodeFault } from './faults.ts';
import type { Life, Task } from './life.ts';
import { quickSignature } from './platform/subtle.ts';
import { breakIn, engineTaskOf } from './prompt.ts';
import type { Universe } from './universe.ts';

const HEARTBEAT_EVERY_MS = 2_000;
/** The agent replaces its own token when half of the token's lifetime has passed (gpu-pool/agent/heartbeat.ts). */
const TOKEN_REUSE_MS = 30_000;
/** The difference between the edge's and the node's clock that the agent accepts (gpu-pool/agent/request-token.ts). */
const CLOCK_TOLERANCE_S = 10;
const CACHE_ENTRIES_MAX = 500;
const HOUR_MS = 3_600_000;
export const MODEL = 'deepseek-r1-0528';
const ENGINE = {
  healthy: true,
  version: '0.5.20',
  model_path: 'deepseek-ai/DeepSeek-R1-0528',
  weight_version: 'default',
};

export class SimNode implements RequestHost {
  readonly universe: Universe;
  readonly id: string;
  readonly origin: string;
  /** The engine's own counts, which survive every fault. */
  readonly counts: EngineCount[] = [];
  /** Cache salts with prompts that the prefix cache holds. */
  readonly #cache = new Set<string>();
  readonly #key: KeyObject;
  /** Every third node has an agent from before agents wrote the client's dialect. */
  readonly #isOld: boolean;
  readonly #active = new Map<string, ActiveRequest>();
  /** Ids of all requests that this node has accepted. */
  readonly #seenIds = new Set<string>();
  /** Unacknowledged receipts by sequence number. They are on disk and survive a restart of the host. */
  readonly #journal = new Map<number, Receipt>();
  #nextSeq = 1;
  #life: Life = { alive: true };
  #offsetMs = 0;
  #token: { text: string; signedAtMs: number } | null = null;
  #heartbeat: Task | null = null;

  constructor(universe: Universe, options: { id: string; index: number; seed: Uint8Array }) {
    this.universe = universe;
    this.id = options.id;
    this.#isOld = options.index % 3 === 2;
    this.origin = `https://node-${options.index}.test`;
    this.#key = createPrivateKey({
      key: Buffer.concat([PKCS8_ED25519, options.seed]),
      format: 'der',
      type: 'pkcs8',
    });
    const { x } = createPublicKey(this.#key).export({ format: 'jwk' });
    universe.d1.run(
      'INSERT INTO node (id, name, model_id, hardware, url, public_key, capacity, engine_version, weight_version, enrolled_at_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
      this.id,
      `node-${options.index}`,
      MODEL,
      '8xh200',
      this.origin,
      x!,
      1_000,
      ENGINE.version,
      ENGINE.weight_version,
      Math.floor(universe.nowMs),
    );
    universe.servers.set(this.origin, (exchange) => this.#serve(exchange));
    if (universe.faults.chance('node_clock_1_h_off', 0.04))
      this.#offsetMs = universe.random.pick([-HOUR_MS, HOUR_MS]);
    this.#scheduleHeartbeat(universe.random.between(0, 100));
  }

  get up(): boolean {
    return this.#life.alive;
  }

  get unacknowledged(): number {
    return this.#journal.size;
  }

  get inFlight(): number {
    return this.#active.size;
  }

  after(ms: number, run: () => void): void {
    this.universe.scheduler.after(ms, this.#life, run);
  }

  /** The host dies: every answer on it breaks, and progress that was not journalled is lost. */
  die(): void {
    if (!this.#life.alive) return;
    this.universe.note('node dies', this.id);
    for (const request of [...this.#active.values()]) request.lose();
    this.#life.alive = false;
    this.#active.clear();
  }

  /** Restarts with its journal, an empty prefix cache and a correct clock. */
  restart(): void {
    if (this.#life.alive) return;
    this.universe.note('node restarts', this.id);
    this.#life = { alive: true };
    this.#cache.clear();
    this.setClock(0);
    this.#scheduleHeartbeat(10);
  }

  setClock(offsetMs: number): void {
    this.#offsetMs = offsetMs;
    this.#token = null;
  }

  finished(receipt: Omit<Receipt, 'seq'>): void {
    this.universe.note(`receipt ${receipt.outcome} ${receipt.usage.completion_tokens}`, receipt.request_id);
    this.universe.trace.count(`receipt ${receipt.outcome}`);
    const seq = this.#nextSeq++;
    this.#journal.set(seq, { seq, ...receipt });
    this.#active.delete(receipt.request_id);
  }

  #serve(exchange: Exchange): void {
    const claims = this.#life.alive ? this.#claims(exchange) : null;
    if (!this.#life.alive) {
      exchange.refuse();
    } else if (!claims) {
      refuse(exchange, 401, 'unauthorized');
    } else if (exchange.path === ABORT_PATH) {
      this.#active.get(claims.jti)?.abort();
      exchange.respond(202, {}, '');
    } else if (exchange.path === EXTEND_PATH) {
      const { held_nano_usd: told } = JSON.parse(exchange.body) as { held_nano_usd: number };
      const held = this.#active.get(claims.jti)?.extend(told) ?? null;
      if (held === null) exchange.respond(404, {}, '');
      else exchange.respond(200, {}, JSON.stringify({ held_nano_usd: held }));
    } else {
      const fault = breakIn(contentOf(exchange)) ?? this.universe.faults.node();
      this.universe.note(`node ${fault}`, claims.jti);
      if (fault === 'refused_400') refuse(exchange, 400, 'bad_request');
      else if (REFUSALS[fault]) REFUSALS[fault](exchange);
      else this.#generate(exchange, claims, fault);
    }
  }

  #generate(exchange: Exchange, claims: RequestClaims, fault: NodeFault): void {
    // the agent accepts an id once (gpu-pool/agent/active-requests.ts)
    if (this.#seenIds.has(claims.jti)) {
      refuse(exchange, 400, 'bad_request');
      return;
    }
    this.#seenIds.add(claims.jti);
    const { messages, max_tokens, n, cache_salt, answer, budget } = JSON.parse(exchange.body) as {
      messages: { content: string }[];
      max_tokens: number;
      n?: number;
      cache_salt: string;
      answer?: AnswerFormat;
      budget?: Budget;
    };
    const content = messages.at(-1)!.content;
    const cacheKey = `${cache_salt} ${content}`;
    const choices = n ?? 1;
    const task = engineTaskOf(content, {
      maxTokens: Math.min(max_tokens * choices, claims.max_tokens),
      choices,
      cached: this.#cache.has(cacheKey),
    });
    if (this.#cache.size < CACHE_ENTRIES_MAX) this.#cache.add(cacheKey);
    const request = new ActiveRequest(this, {
      claims,
      exchange,
      task,
      fault,
      startedAtMs: this.universe.nowMs,
      ready: answer && !this.#isOld ? { answer, budget: budget ?? null } : null,
    });
    this.#active.set(claims.jti, request);
    // the agent writes its journal before it calls the engine
    this.after(this.universe.random.between(0.1, 2), () => request.start());
  }

  /** @returns null when the token was not signed by the edge, names another node, or has expired */
  #claims(exchange: Exchange): RequestClaims | null {
    const token = exchange.headers.authorization!.slice('Bearer '.length);
    const [, payload, signature] = token.split('.');
    if (!payload || !signature) return null;
    const signed = Buffer.from(token.slice(0, token.lastIndexOf('.')));
    if (quickSignature(signed).toString('base64url') !== signature) return null;
    const { aud, exp } = JSON.parse(Buffer.from(payload, 'base64url').toString()) as {
      aud: string;
      exp: number;
    };
    const nowS = (this.universe.nowMs + this.#offsetMs) / 1_000;
    return aud === this.id && exp + CLOCK_TOLERANCE_S > nowS ? exchange.claims() : null;
  }

  #scheduleHeartbeat(ms: number): void {
    if (this.#heartbeat) this.#heartbeat.run = null;
    this.#heartbeat = this.universe.scheduler.after(ms, this.#life, () => this.#sendHeartbeats());
  }

  #sendHeartbeats(): void {
    const { universe } = this;
    this.#scheduleHeartbeat(HEARTBEAT_EVERY_MS * universe.random.between(0.9, 1.1));
    const receipts = [...this.#journal.values()].slice(0, RECEIPTS_PER_HEARTBEAT_MAX);
    if (universe.faults.chance('receipts_reordered', 0.05)) receipts.reverse();
    this.#sendHeartbeat(receipts);
    if (universe.faults.chance('heartbeat_twice', 0.02)) this.#sendHeartbeat(receipts);
  }

  #sendHeartbeat(receipts: readonly Receipt[]): void {
    const { universe } = this;
    const life = this.#life;
    const running = this.#active.size;
    const heartbeat = {
      sent_at_ms: this.#now(),
      agent_version: '0.1.0',
      engine: ENGINE,
      load: { ...LOAD, running_requests: running, used_tokens: running * 500 },
      in_flight: running,
      draining: false,
      receipts,
    };
    const call = {
      method: 'POST',
      path: HEARTBEAT_PATH,
      headers: { authorization: `Bearer ${this.#signed()}`, 'content-type': 'application/json' },
      body: JSON.stringify(heartbeat),
    };
    universe.toEdge(call, {
      answered: async (response) => {
        if (universe.faults.chance('heartbeat_reply_lost', 0.02)) return;
        if (!response.ok) return universe.trace.count(`heartbeat ${response.status}`);
        const { acknowledged } = (await response.json()) as { acknowledged: number[] };
        if (!life.alive) return;
        for (const seq of acknowledged) this.#journal.delete(seq);
      },
      broken() {},
    });
  }

  #now(): number {
    return Math.floor(this.universe.nowMs + this.#offsetMs);
  }

  #signed(): string {
    const nowMs = this.#now();
    if (this.#token && Math.abs(nowMs - this.#token.signedAtMs) < TOKEN_REUSE_MS) return this.#token.text;
    const nowS = Math.floor(nowMs / 1_000);
    const parts = [{ alg: 'EdDSA' }, { iss: this.id, aud: EDGE, iat: nowS, exp: nowS + 60 }];
    const signed = parts.map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.');
    const text = `${signed}.${sign(null, Buffer.from(signed), this.#key).toString('base64url')}`;
    this.#token = { text, signedAtMs: nowMs };
    return text;
  }
}

/** The DER prefix of an Ed25519 private key, which its 32 bytes follow (RFC 8410). */
const PKCS8_ED25519 = Buffer.from('302e020100300506032b657004220420', 'hex');

const LOAD = {
  running_requests: 0,
  waiting_requests: 0,
  waiting_tokens: 0,
  used_tokens: 0,
  capacity_tokens: 1_000_000,
  max_running_requests: 256,
  max_queued_requests: null,
  generation_tokens_per_second: 1_000,
  cache_hit_rate: 0,
};

/** Faults that are answered without the engine. */
const REFUSALS: Partial<Record<NodeFault, (exchange: Exchange) => void>> = {
  refuses: (exchange) => exchange.refuse(),
  overloaded_503: (exchange) => refuse(exchange, 503, 'overloaded', { 'retry-after': '2' }),
  engine_failed_502: (exchange) => refuse(exchange, 502, 'engine_failed'),
  html_200: (exchange) => exchange.respond(200, { 'content-type': 'text/html' }, '<h1>It works!</h1>\n\n'),
};

function contentOf(exchange: Exchange): string {
  const { messages } = JSON.parse(exchange.body) as { messages: { content: string }[] };
  return messages.at(-1)!.content;
}

function refuse(
  exchange: Exchange,
  status: number,
  code: string,
  headers: Record<string, string> = {},
): void {
  const body = JSON.stringify({ error: { code, message: code } });
  exchange.respond(status, { 'content-type': 'application/json', ...headers }, body);
}
