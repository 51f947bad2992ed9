/**
 * The Pool: one Durable Object per model, which knows the present load and health of the model's nodes. Heartbeats are
 * kept in memory and cost no storage. The registered nodes are stored, so that a restarted Pool serves at once instead
 * of waiting for every node's heartbeat. Changes of health go to the audit log.
 */
import { DurableObject } from 'cloudflare:workers';
import {
  HEARTBEAT_INTERVAL_MS,
  INTERVALS_PER_PULSED_HEARTBEAT,
  NO_LOAD,
} from '../../gpu-pool/protocol/constants.ts';
import { database } from '../db/client.ts';
import {
  type FailureReport,
  HEARTBEAT_AGE_MS_MAX,
  type NodeHealth,
  type NodeReport,
  type NodeView,
  type PoolApi,
  type PoolSnapshot,
  type RegisteredNode,
} from '../domain/node.ts';
import {
  type Breaker,
  begin,
  CLOSED,
  comeBack,
  fail,
  phaseOf,
  shareOf,
  warmByTime,
} from '../domain/routing/breaker.ts';
import { healthOf, isUnreachable } from '../domain/routing/health.ts';
import { learnPace, nodeWeights, type Pace } from '../domain/routing/measured-capacity.ts';
import { agrees, type Witness } from '../domain/routing/witness.ts';
import { encodeSnapshot } from '../domain/snapshot-text.ts';
import type { Env } from '../env.ts';
import { agentAnswers } from './agent-answers.ts';
import { HealthLog } from './health-log.ts';
import { Pulses, readLoad } from './pulses.ts';

/** How long a snapshot's text is reused: encoding a thousand nodes takes a millisecond. */
const TEXT_REUSE_MS = 250;
/** The same after a node was ejected or changed its state. It is not 0 because half of a pool may change at once. */
const TEXT_REUSE_URGENT_MS = 50;

/** An agent is asked at most this often whether it answers, however many failures are reported of its node. */
const ASK_EVERY_MS = 1_000;

/**
 * A pulse counts only this long after the last signed heartbeat, of which one comes each half minute. A socket that someone
 * holds open with a token that was stolen so shows life no longer than three heartbeats may be late.
 */
const SIGNED_AGE_MS_MAX = 3 * INTERVALS_PER_PULSED_HEARTBEAT * HEARTBEAT_INTERVAL_MS;
/**
 * How often all nodes are looked at while there are pulses. It finds a node that fell silent where no request asks, and
 * keeps the platform from putting the Pool to sleep after ten seconds, which would lose the loads and breakers.
 */
const LOOK_EVERY_MS = 5_000;

/** Report assumed for a stored node until its first heartbeat, which is two seconds away at most. */
const ASSUMED_REPORT: NodeReport = { engineHealthy: true, draining: false, inFlight: 0, load: NO_LOAD };

interface PoolNode {
  node: RegisteredNode;
  report: NodeReport;
  /** When the node last showed that it is there, by a heartbeat or by its pulse. */
  lastHeartbeatMs: number;
  /** When its last signed heartbeat came. */
  signedAtMs: number;
  /** When `report` came. */
  reportedAtMs: number;
  breaker: Breaker;
  /** The last failure that an isolate reported. */
  lastFailure: Witness | null;
  /** When the agent was last asked whether it answers. */
  askedAtMs: number;
  pace: Pace | null;
  /** Routing weight as last published; null: never published. */
  weight: number | null;
  /** Last determined health; a change of it is logged. */
  health: NodeHealth;
  /** While the node is unreachable: its last heartbeat if it fell silent, or when the Pool noticed that its engine was down. */
  goneAtMs: number;
}

export class Pool extends DurableObject<Env> implements PoolApi {
  readonly #nodes = new Map<string, PoolNode>();
  readonly #log: HealthLog;
  readonly #pulses: Pulses;
  /** The timer that looks at all nodes; null: there is no pulse. */
  #looking: ReturnType<typeof setInterval> | null = null;
  #text: { text: string; atMs: number } | null = null;
  /** A node's health, state or row has changed since the text was made, so isolates should get a new one soon. */
  #textIsUrgent = false;

  constructor(state: DurableObjectState, env: Env) {
    super(state, env);
    this.#log = new HealthLog(database(env), (promise) => state.waitUntil(promise));
    const nowMs = Date.now();
    state.storage.sql.exec(
      'CREATE TABLE IF NOT EXISTS node (id TEXT PRIMARY KEY, known TEXT NOT NULL) STRICT, WITHOUT ROWID',
    );
    for (const { known } of state.storage.sql.exec<{ known: string }>('SELECT known FROM node')) {
      const { node } = JSON.parse(known as string) as Pick<PoolNode, 'node'>;
      // A stored node counts as up until it has missed its heartbeats: the Pool restarted, the nodes did not.
      this.#nodes.set(node.id, newPoolNode(node, ASSUMED_REPORT, { health: 'up', nowMs }));
    }
    this.#pulses = new Pulses(state);
    // Pulses that have outlived the Pool's memory would not bring the loads before their next heartbeats.
    this.#pulses.call();
    this.#look();
  }

  async heartbeat(node: RegisteredNode, report: NodeReport): Promise<NodeView> {
    const nowMs = Date.now();
    const known = this.#nodes.get(node.id);
    if (known === undefined) {
      const fresh = newPoolNode(node, report, { health: 'silent', nowMs });
      this.#nodes.set(node.id, fresh);
      this.#storeNode(fresh);
      return this.#view(fresh, nowMs);
    }
    known.signedAtMs = nowMs;
    this.#updateHealth(known, nowMs);
    this.#hear(known, report, nowMs);
    this.#takeRow(known, node, nowMs);
    return this.#view(known, nowMs);
  }

  /** Opens the pulse of a node, which the Worker has authenticated (pulse.ts). */
  override async fetch(request: Request): Promise<Response> {
    const known = this.#nodes.get(new URL(request.url).searchParams.get('node') ?? '');
    if (known === undefined || known.node.state === 'removed') return new Response(null, { status: 404 });
    const response = this.#pulses.accept(known.node.id);
    this.#look();
    return response;
  }

  /** Takes a load from a node's pulse. */
  override async webSocketMessage(socket: WebSocket, message: string | ArrayBuffer): Promise<void> {
    const known = this.#nodes.get(this.#pulses.nodeOf(socket) ?? '');
    const loaded = await readLoad(socket, message);
    const nowMs = Date.now();
    if (known === undefined || loaded === null || nowMs > known.signedAtMs + SIGNED_AGE_MS_MAX) return;
    const { load, in_flight: inFlight } = loaded;
    this.#updateHealth(known, nowMs);
    this.#hear(known, { ...known.report, load, inFlight }, nowMs);
  }

  override async webSocketClose(socket: WebSocket): Promise<void> {
    this.#pulses.closed(socket);
  }

  /** Looks at all nodes now and then while there are pulses. */
  #look(): void {
    if (this.#pulses.count === 0 || this.#looking !== null) return;
    this.#looking = setInterval(() => {
      const nowMs = Date.now();
      for (const known of this.#nodes.values()) this.#updateHealth(known, nowMs);
      if (this.#pulses.count > 0 || this.#looking === null) return;
      clearInterval(this.#looking);
      this.#looking = null;
    }, LOOK_EVERY_MS);
  }

  /**
   * Notes a sign of life, with the report that holds from now on. A silence is recorded first if no snapshot has seen it,
   * and ends here.
   */
  #hear(known: PoolNode, report: NodeReport, atMs: number): void {
    this.#setHealth(known, atMs);
    if (isUnreachable(known.health) && report.engineHealthy)
      known.breaker = comeBack(known.breaker, { goneAtMs: known.goneAtMs, nowMs: atMs });
    if (report.draining !== known.report.draining) this.#textIsUrgent = true;
    if (report !== known.report) {
      const { report: before, reportedAtMs, lastHeartbeatMs } = known;
      // Signs of life since the last report said that its load had not changed.
      if (lastHeartbeatMs > reportedAtMs)
        known.pace = learnPace(known.pace, before.load, lastHeartbeatMs - reportedAtMs);
      known.pace = learnPace(known.pace, report.load, atMs - lastHeartbeatMs);
      known.report = report;
      known.reportedAtMs = atMs;
    }
    known.lastHeartbeatMs = atMs;
  }

  async snapshot(): Promise<PoolSnapshot> {
    return this.#snapshot(Date.now());
  }

  async snapshotText(): Promise<string> {
    const nowMs = Date.now();
    const ageMs = nowMs - (this.#text?.atMs ?? Number.NEGATIVE_INFINITY);
    const fresh = ageMs >= 0 && ageMs < (this.#textIsUrgent ? TEXT_REUSE_URGENT_MS : TEXT_REUSE_MS);
    if (this.#text === null || !fresh) {
      this.#text = { text: encodeSnapshot(this.#snapshot(nowMs)), atMs: nowMs };
      this.#textIsUrgent = false;
    }
    return this.#text.text;
  }

  async reportFailure({ nodeId, accountId, startedAgoMs }: FailureReport): Promise<void> {
    const known = this.#nodes.get(nodeId);
    if (!known) return;
    const atMs = Date.now();
    const seen = { accountId, atMs };
    const isAgreed = agrees(known.lastFailure, seen);
    known.lastFailure = seen;
    if (isAgreed || !(await this.#isWell(known, atMs))) this.#eject(known, atMs - startedAgoMs);
  }

  /** Whether the node itself still answers. It is asked once a second at most, so that reports cannot flood it. */
  async #isWell(known: PoolNode, nowMs: number): Promise<boolean> {
    this.#updateHealth(known, nowMs);
    // Until it was silent for so long, an agent whose heartbeat is late may be busy.
    if (nowMs - known.lastHeartbeatMs > 2 * HEARTBEAT_INTERVAL_MS || !known.report.engineHealthy)
      return false;
    const wasAsked = Math.abs(nowMs - known.askedAtMs) < ASK_EVERY_MS;
    if (wasAsked || phaseOf(known.breaker, nowMs) === 'open') return true;
    known.askedAtMs = nowMs;
    return agentAnswers(known.node.url);
  }

  /** Opens the node's breaker. @param startedMs when the request that failed began */
  #eject(known: PoolNode, startedMs: number): void {
    const nowMs = Date.now();
    const failed = fail(known.breaker, { startedMs, nowMs });
    if (failed === known.breaker) return;
    known.breaker = warmByTime(failed);
    this.#updateHealth(known, nowMs);
  }

  async register(node: RegisteredNode): Promise<void> {
    const known = this.#nodes.get(node.id);
    if (!known) return;
    this.#takeRow(known, node, Date.now());
    if (node.state === 'removed') this.#log.forget(node.id);
  }

  async callNodes(): Promise<void> {
    this.#pulses.call();
  }

  /** Stores a node's row if it is newer: a heartbeat's isolate may have read the row before the last change. */
  #takeRow(known: PoolNode, node: RegisteredNode, nowMs: number): void {
    if (node.revision <= known.node.revision) return;
    if (node.state === 'active' && known.node.state !== 'active') known.breaker = begin(nowMs);
    known.node = node;
    this.#textIsUrgent = true;
    this.#storeNode(known);
    // The reply to a heartbeat tells the node what follows from it.
    this.#pulses.call([node.id]);
  }

  #storeNode({ node }: PoolNode): void {
    this.ctx.storage.sql.exec('INSERT OR REPLACE INTO node VALUES (?, ?)', node.id, JSON.stringify({ node }));
  }

  #snapshot(atMs: number): PoolSnapshot {
    this.#updateWeights();
    const nodes: NodeView[] = [];
    for (const known of this.#nodes.values())
      if (known.node.state !== 'removed') nodes.push(this.#view(known, atMs));
    return { atMs, nodes };
  }

  #view(known: PoolNode, nowMs: number): NodeView {
    const health = this.#updateHealth(known, nowMs);
    const { node, report, lastHeartbeatMs } = known;
    return {
      ...node,
      health,
      share: shareOf(known.breaker, nowMs),
      weight: known.weight ?? node.capacity,
      draining: report.draining || node.state === 'draining',
      lastHeartbeatMs,
      inFlight: report.inFlight,
      load: report.load,
      ...(report.deterministic ? { deterministic: true } : {}),
    };
  }

  /** Sets the weights of the serving nodes by measured capacity. Other nodes have no throughput to measure. */
  #updateWeights(): void {
    const serving = [...this.#nodes.values()].filter(
      ({ node, health }) => node.state === 'active' && !isUnreachable(health),
    );
    const weights = nodeWeights(
      serving.map(({ node: { hardware, capacity }, report: { load }, pace, weight }) => {
        return { hardware, capacity, load, pace, weight };
      }),
    );
    for (const [index, known] of serving.entries()) known.weight = weights[index]!;
  }

  /** Determines a node's health now, after its last sign of life was heard. */
  #updateHealth(known: PoolNode, nowMs: number): NodeHealth {
    const pulseMs = this.#pulses.lastMs(known.node.id);
    if (pulseMs !== null) {
      const heardMs = Math.min(pulseMs, nowMs, known.signedAtMs + SIGNED_AGE_MS_MAX);
      if (heardMs > known.lastHeartbeatMs) this.#hear(known, known.report, heardMs);
    }
    return this.#setHealth(known, nowMs);
  }

  /** Sets the health that follows from what was heard, and logs a change. */
  #setHealth(known: PoolNode, nowMs: number): NodeHealth {
    const to = healthOf(known, nowMs);
    const from = known.health;
    if (to === from) return to;
    const silentSinceMs = known.lastHeartbeatMs + HEARTBEAT_AGE_MS_MAX;
    if (isUnreachable(to) && !isUnreachable(from))
      known.goneAtMs = to === 'silent' ? known.lastHeartbeatMs : nowMs;
    known.health = to;
    this.#textIsUrgent = true;
    const atMs = to === 'silent' ? silentSinceMs : nowMs;
    this.#log.add({ nodeId: known.node.id, from, to, atMs }, nowMs);
    return to;
  }
}

function newPoolNode(
  node: RegisteredNode,
  report: NodeReport,
  { health, nowMs }: { health: NodeHealth; nowMs: number },
): PoolNode {
  return {
    node,
    report,
    lastHeartbeatMs: nowMs,
    signedAtMs: nowMs,
    reportedAtMs: nowMs,
    breaker: CLOSED,
    lastFailure: null,
    askedAtMs: Number.NEGATIVE_INFINITY,
    pace: null,
    weight: null,
    health,
    goneAtMs: nowMs,
  };
}
