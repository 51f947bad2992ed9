/**
 * The agent's reports to the edge: a signed heartbeat every two seconds, or, where the edge allows it, a pulse (pulse.ts) and
 * a heartbeat each half minute, when anything but the load changes, and for receipts. Nothing is lost while the edge is
 * unreachable: receipts stay in the journal and are sent again.
 */
import { importJWK, SignJWT } from 'jose';
import {
  EDGE,
  HEARTBEAT_PATH,
  type Heartbeat,
  HeartbeatReply,
  INTERVALS_PER_PULSED_HEARTBEAT,
  PULSE_PATH,
  RECEIPTS_PER_HEARTBEAT_MAX,
  type Receipt,
} from '../protocol/schemas.ts';
import type { Log } from './log.ts';
import type { NodeState } from './node-state.ts';
import { connectPulse, Pulse, type PulseSocket } from './pulse.ts';

const TOKEN_LIFETIME_MS = 60_000;
const TOKEN_REUSE_MS = 30_000;
const TIMEOUT_MS = 5_000;
/** Receipts of requests that end together share one early heartbeat. */
const DEBOUNCE_MS = 200;
const BACKOFF_MAX_MS = 10_000;
/** A refused token does not become valid by itself, so retries are rare until an operator acts. */
const REFUSED_RETRY_MS = 30_000;
/** The protocol keeps a heartbeat under 64 KiB; everything in it but the receipts is below 2 KiB. */
const RECEIPT_BYTES_MAX = 60 << 10;
export const AGENT_VERSION = '0.1.0';

export interface HeartbeatOptions {
  node: NodeState;
  intervalMs: number;
  now: () => number;
  /** A number from 0 to 1, for jitter. */
  random: () => number;
  log: Log;
  /** The node's state at this instant. */
  report: () => Pick<Heartbeat, 'engine' | 'load' | 'in_flight' | 'draining' | 'edge_keys' | 'sold_version'>;
  pending: (max: number) => Receipt[];
  onAcknowledged: (seqs: number[]) => void;
  onDirective: (directive: HeartbeatReply['directive']) => void;
  /** Ids of the keys with which the edge signs, or will. */
  onEdgeKeys: (ids: readonly string[]) => void;
  /** Called with the SoldModel when it has changed; this agent may be too old to read it. */
  onSold: (message: unknown) => void;
  /** Opens the pulse's connection; tests put their own here. */
  connect?: (url: URL, token: string) => PulseSocket;
}

type HeartbeatResult = 'ok' | 'refused' | 'unreachable';

/**
 * How long to wait after a failure. All agents lose an edge at the same instant, so each waits for a random time in
 * the second half of its interval.
 */
export function backoffMs(options: { failures: number; intervalMs: number; random: () => number }): number {
  const longestMs = Math.min(BACKOFF_MAX_MS, options.intervalMs * 2 ** Math.min(options.failures - 1, 8));
  return longestMs * (0.5 + options.random() / 2);
}

export class HeartbeatLoop {
  readonly #options: HeartbeatOptions;
  #token: { text: string; signedAtMs: number } | null = null;
  #timer: NodeJS.Timeout | undefined;
  #dueAtMs = 0;
  #running: Promise<HeartbeatResult> | null = null;
  #failures = 0;
  #lastResult: HeartbeatResult = 'ok';
  #acceptedAtMs: number;
  #stopped = false;
  /** A heartbeat was requested since the last one began. */
  #isWanted = false;
  #acknowledged = 0;
  readonly #pulse: Pulse;
  /** The last accepted heartbeat without load and receipts, as text. */
  #accepted = '';
  /** A pulse suffices until then. */
  #signedDueAtMs = 0;

  constructor(options: HeartbeatOptions) {
    this.#options = options;
    const { now, random, intervalMs, node, connect = connectPulse } = options;
    this.#acceptedAtMs = now();
    const url = new URL(PULSE_PATH, node.edge_url.replace(/^http/, 'ws'));
    this.#pulse = new Pulse({
      now,
      connect: () => connect(url, this.#token!.text),
      onAnswer: () => {
        this.#acceptedAtMs = now();
      },
      // Spread over an interval, because the edge may call or lose all nodes at once.
      onCall: () => this.sendSoon(random() * intervalMs),
    });
  }

  /** Whether the edge accepted the last heartbeat. */
  get reachable(): boolean {
    return this.#lastResult === 'ok';
  }

  /** When the edge last accepted a heartbeat, or when this loop was created. */
  get acceptedAtMs(): number {
    return this.#acceptedAtMs;
  }

  start(): void {
    this.#schedule(0);
  }

  /** Brings the next heartbeat forward, unless the edge does not answer anyway. */
  sendSoon(delayMs = DEBOUNCE_MS): void {
    this.#isWanted = true;
    if (this.#lastResult !== 'ok' || this.#running) return;
    if (this.#dueAtMs - Date.now() > delayMs) this.#schedule(delayMs);
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#pulse.close();
  }

  /** Sends one heartbeat now, whatever the schedule; true when the edge accepted it. */
  async sendNow(): Promise<boolean> {
    await this.#running;
    return (await this.#send()) === 'ok';
  }

  #schedule(delayMs: number): void {
    if (this.#stopped) return;
    clearTimeout(this.#timer);
    this.#dueAtMs = Date.now() + delayMs;
    this.#timer = setTimeout(() => void this.#onTimer(), delayMs);
  }

  async #onTimer(): Promise<void> {
    if (this.#running) return;
    if (this.#isPulseEnough()) return this.#schedule(this.#options.intervalMs * this.#jitter());
    this.#isWanted = false;
    this.#running = this.#send();
    const result = await this.#running;
    this.#running = null;
    this.#failures = result === 'ok' ? 0 : this.#failures + 1;
    this.#schedule(this.#delayMs(result));
  }

  /** Beats on the pulse instead of sending a heartbeat, where that says all. */
  #isPulseEnough(): boolean {
    if (this.#isWanted || Date.now() >= this.#signedDueAtMs || this.#lastResult !== 'ok') return false;
    const { load, in_flight, ...others } = this.#options.report();
    return JSON.stringify(others) === this.#accepted && this.#pulse.beat({ load, in_flight });
  }

  #jitter(): number {
    return 0.9 + 0.2 * this.#options.random();
  }

  #delayMs(result: HeartbeatResult): number {
    const { intervalMs, random, pending } = this.#options;
    const jitter = this.#jitter();
    if (result === 'refused') return REFUSED_RETRY_MS * jitter;
    if (result === 'unreachable') {
      return backoffMs({ failures: this.#failures, intervalMs, random });
    }
    // A backlog goes out quickly while the edge acknowledges it; receipts that it leaves unacknowledged wait for
    // the regular heartbeat.
    const urgent = this.#isWanted || (this.#acknowledged > 0 && pending(1).length > 0);
    this.#isWanted = urgent;
    return (urgent ? Math.min(intervalMs, DEBOUNCE_MS) : intervalMs) * jitter;
  }

  async #send(): Promise<HeartbeatResult> {
    const { node, now, report, onAcknowledged, onDirective, onEdgeKeys, onSold, log } = this.#options;
    const { load, in_flight, ...others } = report();
    const heartbeat: Heartbeat = {
      sent_at_ms: now(),
      agent_version: AGENT_VERSION,
      ...{ load, in_flight, ...others },
      receipts: this.#receipts(),
    };
    const response = await fetch(new URL(HEARTBEAT_PATH, node.edge_url), {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${await this.#signedToken()}` },
      body: JSON.stringify(heartbeat),
      redirect: 'manual',
      signal: AbortSignal.timeout(TIMEOUT_MS),
    }).catch(() => null);
    const body: unknown = await response?.json().catch(() => null);
    if (response?.status === 401) {
      this.#logTransition('refused', () => log('heartbeat_refused', { advice: this.#advice(response) }));
      return 'refused';
    }
    const reply = HeartbeatReply.safeParse(body);
    if (!response?.ok || !reply.success) {
      this.#logTransition('unreachable', () => log('edge_unreachable', { status: response?.status ?? null }));
      return 'unreachable';
    }
    this.#logTransition('ok', () => log('edge_back'));
    this.#acceptedAtMs = now();
    this.#acknowledged = reply.data.acknowledged.length;
    onAcknowledged(reply.data.acknowledged);
    onDirective(reply.data.directive);
    onEdgeKeys(reply.data.edge_keys ?? []);
    if (reply.data.sold !== undefined) onSold(reply.data.sold);
    this.#accepted = JSON.stringify(others);
    this.#followPulse(reply.data.pulse === true);
    return 'ok';
  }

  /** @param isAllowed a pulse may stand for the next heartbeats */
  #followPulse(isAllowed: boolean): void {
    const { intervalMs, pending } = this.#options;
    if (this.#stopped || !isAllowed) this.#pulse.close();
    else this.#pulse.open();
    // receipts that the edge left unacknowledged go with the next
    const intervals = pending(1).length > 0 ? 0 : INTERVALS_PER_PULSED_HEARTBEAT;
    this.#signedDueAtMs = Date.now() + intervals * intervalMs;
  }

  /** As many receipts as one heartbeat holds, oldest first. */
  #receipts(): Receipt[] {
    let bytes = 0;
    const receipts = this.#options.pending(RECEIPTS_PER_HEARTBEAT_MAX);
    const end = receipts.findIndex((receipt) => {
      bytes += JSON.stringify(receipt).length + 1;
      return bytes > RECEIPT_BYTES_MAX;
    });
    return end === -1 ? receipts : receipts.slice(0, Math.max(1, end));
  }

  async #signedToken(): Promise<string> {
    const { node, now } = this.#options;
    const nowMs = now();
    if (this.#token && Math.abs(nowMs - this.#token.signedAtMs) < TOKEN_REUSE_MS) return this.#token.text;
    const text = await new SignJWT()
      .setProtectedHeader({ alg: 'EdDSA' })
      .setIssuer(node.node_id)
      .setAudience(EDGE)
      .setIssuedAt(Math.floor(nowMs / 1_000))
      .setExpirationTime(Math.floor((nowMs + TOKEN_LIFETIME_MS) / 1_000))
      .sign(await importJWK(node.private_key, 'EdDSA'));
    this.#token = { text, signedAtMs: nowMs };
    return text;
  }

  #advice(response: Response): string {
    const skewSeconds = (Date.parse(response.headers.get('date') ?? '') - this.#options.now()) / 1_000;
    if (Math.abs(skewSeconds) > TOKEN_LIFETIME_MS / 1_000) {
      return `The clock of this host is ${Math.round(Math.abs(skewSeconds))} s off: synchronise it (NTP).`;
    }
    return 'The edge does not recognise this node’s key: delete the state directory and enrol again with a new join token.';
  }

  /** Logs a result when it differs from the last one, not every two seconds. */
  #logTransition(result: HeartbeatResult, log: () => void): void {
    if (this.#lastResult !== result) log();
    this.#lastResult = result;
  }
}
