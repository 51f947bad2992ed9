/**
 * The agents of the upstream, which acts as Tollgate's nodes: heartbeats and receipts as gpu-pool/agent/heartbeat.ts sends
 * them. They verify no token, because only the edge under test calls them.
 */
import { createPrivateKey, type KeyObject, sign } from 'node:crypto';
import { setTimeout as wait } from 'node:timers/promises';
import { connectPulse, Pulse } from '../../gpu-pool/agent/pulse.ts';
import { RECOMMENDED_RELEASE } from '../../gpu-pool/emulator/release.ts';
import {
  CLAIMS_HEADER,
  EDGE,
  HEARTBEAT_INTERVAL_MS,
  HEARTBEAT_PATH,
  type Heartbeat,
  type HeartbeatReply,
  INTERVALS_PER_PULSED_HEARTBEAT,
  PULSE_PATH,
  RECEIPTS_PER_HEARTBEAT_MAX,
  type Receipt,
  type RequestClaims,
} from '../../gpu-pool/protocol/schemas.ts';
import { MODEL_PATH, type Workload } from './workloads.ts';

/** As in the real agent, receipts of requests that end together share one early heartbeat. */
const DEBOUNCE_MS = 200;
const PULSED_MS = INTERVALS_PER_PULSED_HEARTBEAT * HEARTBEAT_INTERVAL_MS;
const TOKEN_LIFETIME_S = 60;
const TOKEN_REUSE_MS = 30_000;

export interface NodeIdentity {
  readonly id: string;
  /** The private key as PEM of PKCS #8. */
  readonly privateKey: string;
}

export const ENGINE = { version: RECOMMENDED_RELEASE, weightVersion: 'default' } as const;

const IDLE = {
  running_requests: 0,
  waiting_requests: 0,
  waiting_tokens: 0,
  used_tokens: 0,
  capacity_tokens: 1_000_000_000,
  max_running_requests: 100_000,
  max_queued_requests: 100_000,
  generation_tokens_per_second: 0,
  cache_hit_rate: 0,
};

export class NodeAgents {
  readonly #agents: ReadonlyMap<string, Agent>;

  /** @param edgeUrl the edge that receives heartbeats */
  constructor(edgeUrl: string, nodes: readonly NodeIdentity[]) {
    this.#agents = new Map(nodes.map((node) => [node.id, new Agent(edgeUrl, node)]));
  }

  /** Sends a first heartbeat of every node, then continues in the background. */
  async begin(): Promise<void> {
    const agents = [...this.#agents.values()];
    const width = 16;
    for (let at = 0; at < agents.length; at += width) {
      await Promise.all(agents.slice(at, at + width).map((agent) => agent.sendHeartbeat()));
    }
    for (const [i, agent] of agents.entries()) {
      void agent.run((i / agents.length) * HEARTBEAT_INTERVAL_MS);
    }
  }

  /** Whether a request is for one of these nodes. @param head its head */
  has(head: string): boolean {
    return this.#agents.has(claimsOf(head).aud);
  }

  /** Records a receipt. @param head the head of a request that was answered in full just now */
  answered(head: string, { promptTokens, tokens, reasoning }: Workload): void {
    const claims = claimsOf(head);
    const agent = this.#agents.get(claims.aud);
    if (!agent) throw new Error(`a request for ${claims.aud}, which is no node of this upstream`);
    const nowMs = Date.now();
    agent.addReceipt({
      request_id: claims.jti,
      account_id: claims.sub,
      model: claims.model,
      started_at_ms: nowMs,
      ended_at_ms: nowMs,
      ttft_ms: 0,
      outcome: 'finished',
      usage: {
        prompt_tokens: promptTokens,
        cached_tokens: 0,
        completion_tokens: tokens,
        reasoning_tokens: reasoning ? tokens : 0,
      },
      ...(claims.ticket === undefined ? {} : { ticket: claims.ticket }),
    });
  }

  /** Counts the receipts that the edge has not acknowledged, and the heartbeats that failed. */
  status(): { pending: number; failures: number } {
    const agents = [...this.#agents.values()];
    const sum = (of: (agent: Agent) => number) => agents.reduce((total, agent) => total + of(agent), 0);
    return { pending: sum((agent) => agent.pending), failures: sum((agent) => agent.failures) };
  }

  end(): void {
    for (const agent of this.#agents.values()) agent.end();
  }
}

class Agent {
  readonly #edgeUrl: string;
  readonly #id: string;
  readonly #key: KeyObject;
  #token = { text: '', signedAtMs: 0 };
  #seq = 0;
  readonly #receipts = new Map<number, Receipt>();
  #wake: AbortController | null = null;
  #isSoon = false;
  #ended = false;
  readonly #pulse: Pulse;
  /** A pulse suffices until then. */
  #signedDueAtMs = 0;
  failures = 0;

  constructor(edgeUrl: string, { id, privateKey }: NodeIdentity) {
    this.#edgeUrl = edgeUrl;
    this.#id = id;
    this.#key = createPrivateKey(privateKey);
    const url = new URL(PULSE_PATH, edgeUrl.replace(/^http/, 'ws'));
    this.#pulse = new Pulse({
      now: Date.now,
      connect: () => connectPulse(url, this.#signed()),
      onAnswer: () => undefined,
      onCall: () => this.#soon(),
    });
  }

  get pending(): number {
    return this.#receipts.size;
  }

  addReceipt(receipt: Omit<Receipt, 'seq'>): void {
    const seq = this.#seq++;
    this.#receipts.set(seq, { seq, ...receipt });
    this.#soon();
  }

  #soon(): void {
    if (this.#isSoon) return;
    this.#isSoon = true;
    this.#wake?.abort();
  }

  async run(firstMs: number): Promise<void> {
    let delayMs = firstMs;
    while (!this.#ended) {
      await this.#sleep(delayMs);
      delayMs = HEARTBEAT_INTERVAL_MS;
      const isPulseEnough = !this.#isSoon && Date.now() < this.#signedDueAtMs;
      if (this.#ended || (isPulseEnough && this.#pulse.beat({ load: IDLE, in_flight: 0 }))) continue;
      this.#isSoon = false;
      const acknowledged = await this.sendHeartbeat();
      // a backlog is sent without pause while the edge acknowledges it
      const hasBacklog = acknowledged > 0 && this.pending >= RECEIPTS_PER_HEARTBEAT_MAX;
      if (hasBacklog) delayMs = 0;
    }
  }

  /** Sends a heartbeat. @returns the number of receipts that the edge acknowledged */
  async sendHeartbeat(): Promise<number> {
    const body: Heartbeat = {
      sent_at_ms: Date.now(),
      agent_version: '0.1.0',
      engine: {
        healthy: true,
        version: ENGINE.version,
        model_path: MODEL_PATH,
        weight_version: ENGINE.weightVersion,
      },
      load: IDLE,
      in_flight: 0,
      draining: false,
      receipts: [...this.#receipts.values().take(RECEIPTS_PER_HEARTBEAT_MAX)],
    };
    try {
      const response = await fetch(new URL(HEARTBEAT_PATH, this.#edgeUrl), {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: `Bearer ${this.#signed()}` },
        body: JSON.stringify(body),
      });
      if (!response.ok) throw new Error(`heartbeat answered ${response.status}: ${await response.text()}`);
      const { acknowledged, pulse } = (await response.json()) as HeartbeatReply;
      for (const seq of acknowledged) this.#receipts.delete(seq);
      if (pulse && !this.#ended) this.#pulse.open();
      this.#signedDueAtMs = Date.now() + (this.pending > 0 ? 0 : PULSED_MS);
      return acknowledged.length;
    } catch (error) {
      this.failures += 1;
      if (!this.#ended) console.error(`${this.#id}: ${String((error as Error).cause ?? error)}`);
      return 0;
    }
  }

  end(): void {
    this.#ended = true;
    this.#pulse.close();
    this.#wake?.abort();
  }

  /** Sleeps until the next heartbeat; a new receipt shortens the sleep. */
  async #sleep(ms: number): Promise<void> {
    if (ms === 0) return;
    if (!this.#isSoon) {
      this.#wake = new AbortController();
      await wait(ms, undefined, { signal: this.#wake.signal }).catch(() => undefined);
      this.#wake = null;
    }
    if (this.#isSoon && !this.#ended) await wait(Math.min(ms, DEBOUNCE_MS));
  }

  #signed(): string {
    const nowMs = Date.now();
    if (nowMs - this.#token.signedAtMs < TOKEN_REUSE_MS) return this.#token.text;
    const nowS = Math.floor(nowMs / 1_000);
    const claims = { iss: this.#id, aud: EDGE, iat: nowS, exp: nowS + TOKEN_LIFETIME_S };
    const text = `${base64({ alg: 'EdDSA' })}.${base64(claims)}`;
    const signature = sign(null, Buffer.from(text), this.#key).toString('base64url');
    this.#token = { text: `${text}.${signature}`, signedAtMs: nowMs };
    return this.#token.text;
  }
}

function base64(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

function claimsOf(head: string): RequestClaims & { aud: string } {
  const payload = /\r\nauthorization: *Bearer [\w-]+\.([\w-]+)\./i.exec(head)?.[1];
  const claims = new RegExp(`\\r\\n${CLAIMS_HEADER}: *([^\\r]*)`, 'i').exec(head)?.[1];
  if (payload === undefined || claims === undefined) throw new Error('a request of the edge without a token');
  const { aud } = JSON.parse(Buffer.from(payload, 'base64url').toString()) as { aud: string };
  return { ...(JSON.parse(claims) as RequestClaims), aud };
}
