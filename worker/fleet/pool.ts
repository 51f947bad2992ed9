/**
 * The Pool: one per model, knows how its nodes are right now. Heartbeats live in memory and cost nothing;
 * what nodes are registered is kept in storage, so that a restarted Pool serves at once instead of waiting for
 * every node to call. Changes of health go to the audit log.
 */
import { DurableObject } from 'cloudflare:workers';
import { NO_LOAD } from '../../gpu-pool/protocol/constants.ts';
import { database } from '../db/client.ts';
import {
  HEARTBEAT_AGE_MS_MAX,
  type NodeHealth,
  type NodeReport,
  type NodeView,
  type PoolApi,
  type PoolSnapshot,
  type RegisteredNode,
} from '../domain/node.ts';
import { toText } from '../domain/pool-text.ts';
import {
  type Breaker,
  begin,
  CLOSED,
  comeBack,
  fail,
  shareOf,
  warmByTime,
} from '../domain/routing/breaker.ts';
import { healthOf, isGone } from '../domain/routing/health.ts';
import { learnPace, type Pace, weigh } from '../domain/routing/measured-capacity.ts';
import type { Env } from '../env.ts';
import { HealthLog } from './health-log.ts';

/** How long the text for isolates is handed out as it is: a thousand nodes are a millisecond of work … */
const ROUTES_MS = 250;
/** … and when a node was ejected or changed its state, which half of a pool may do at once. */
const ROUTES_CHANGED_MS = 50;

/** Of a node that was registered before the Pool began anew: its next heartbeat is two seconds away at most. */
const NOT_HEARD: NodeReport = { engineHealthy: true, draining: false, inFlight: 0, load: NO_LOAD };

interface Known {
  node: RegisteredNode;
  report: NodeReport;
  lastHeartbeatMs: number;
  breaker: Breaker;
  pace: Pace | null;
  /** as last published; null: never */
  weight: number | null;
  /** health when it was last looked at: what a change is measured against */
  health: NodeHealth;
  /** when it was last heard of with its engine, while it is silent or without */
  goneAtMs: number;
}

export class Pool extends DurableObject<Env> implements PoolApi {
  readonly #nodes = new Map<string, Known>();
  readonly #log: HealthLog;
  #routes: { text: string; atMs: number } | null = null;
  /** something happened that isolates should know soon */
  #changed = false;

  constructor(state: DurableObjectState, env: Env) {
    super(state, env);
    this.#log = new HealthLog(database(env), (promise) => state.waitUntil(promise));
    const nowMs = Date.now();
    state.storage.sql.exec(
      'CREATE TABLE IF NOT EXISTS node (id TEXT PRIMARY KEY, known TEXT NOT NULL) STRICT, WITHOUT ROWID',
    );
    for (const { known } of state.storage.sql.exec<{ known: string }>('SELECT known FROM node')) {
      const { node } = JSON.parse(known as string) as Pick<Known, 'node'>;
      // taken for alive until it could have missed its heartbeats: the edge restarted, the nodes did not
      this.#nodes.set(node.id, newlyKnown(node, NOT_HEARD, { health: 'up', nowMs }));
    }
  }

  async heartbeat(node: RegisteredNode, report: NodeReport): Promise<NodeView> {
    const nowMs = Date.now();
    const known = this.#nodes.get(node.id);
    if (known === undefined) {
      const fresh = newlyKnown(node, report, { health: 'silent', nowMs });
      this.#nodes.set(node.id, fresh);
      this.#keep(fresh);
      return this.#view(fresh, nowMs);
    }
    // a silence that nobody has looked at was one all the same
    this.#look(known, nowMs);
    if (isGone(known.health) && report.engineHealthy)
      known.breaker = comeBack(known.breaker, { goneAtMs: known.goneAtMs, nowMs });
    if (report.draining !== known.report.draining) this.#changed = true;
    known.pace = learnPace(known.pace, report.load, nowMs - known.lastHeartbeatMs);
    known.lastHeartbeatMs = nowMs;
    known.report = report;
    this.#takeRow(known, node, nowMs);
    return this.#view(known, nowMs);
  }

  async snapshot(): Promise<PoolSnapshot> {
    return this.#snapshot(Date.now());
  }

  async routes(): Promise<string> {
    const nowMs = Date.now();
    const ageMs = nowMs - (this.#routes?.atMs ?? Number.NEGATIVE_INFINITY);
    const fresh = ageMs >= 0 && ageMs < (this.#changed ? ROUTES_CHANGED_MS : ROUTES_MS);
    if (this.#routes === null || !fresh) {
      this.#routes = { text: toText(this.#snapshot(nowMs)), atMs: nowMs };
      this.#changed = false;
    }
    return this.#routes.text;
  }

  async reportFailure({ nodeId, startedAgoMs }: { nodeId: string; startedAgoMs: number }): Promise<void> {
    const known = this.#nodes.get(nodeId);
    if (!known) return;
    const nowMs = Date.now();
    const failed = fail(known.breaker, { startedMs: nowMs - startedAgoMs, nowMs });
    if (failed === known.breaker) return;
    known.breaker = warmByTime(failed);
    this.#look(known, nowMs);
  }

  async register(node: RegisteredNode): Promise<void> {
    const known = this.#nodes.get(node.id);
    if (!known) return;
    this.#takeRow(known, node, Date.now());
    if (node.state === 'removed') this.#log.forget(node.id);
  }

  /** A heartbeat may bring a row that its isolate read before the last change. */
  #takeRow(known: Known, node: RegisteredNode, nowMs: number): void {
    if (node.revision <= known.node.revision) return;
    if (node.state === 'active' && known.node.state !== 'active') known.breaker = begin(nowMs);
    known.node = node;
    this.#changed = true;
    this.#keep(known);
  }

  #keep({ node }: Known): void {
    this.ctx.storage.sql.exec('INSERT OR REPLACE INTO node VALUES (?, ?)', node.id, JSON.stringify({ node }));
  }

  #snapshot(atMs: number): PoolSnapshot {
    this.#weigh();
    const nodes: NodeView[] = [];
    for (const known of this.#nodes.values())
      if (known.node.state !== 'removed') nodes.push(this.#view(known, atMs));
    return { atMs, nodes };
  }

  #view(known: Known, nowMs: number): NodeView {
    const health = this.#look(known, nowMs);
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
    };
  }

  /** Measured capacity, of the nodes that serve: what the others would do nobody knows. */
  #weigh(): void {
    const serving = [...this.#nodes.values()].filter(
      ({ node, health }) => node.state === 'active' && !isGone(health),
    );
    const weights = weigh(
      serving.map(({ node: { hardware, capacity }, report: { load }, pace, weight }) => {
        return { hardware, capacity, load, pace, weight };
      }),
    );
    for (const [at, known] of serving.entries()) known.weight = weights[at]!;
  }

  /** A node's health now; a change is noted. */
  #look(known: Known, nowMs: number): NodeHealth {
    const to = healthOf(known, nowMs);
    const from = known.health;
    if (to === from) return to;
    const silentSinceMs = known.lastHeartbeatMs + HEARTBEAT_AGE_MS_MAX;
    if (isGone(to) && !isGone(from)) known.goneAtMs = to === 'silent' ? known.lastHeartbeatMs : nowMs;
    known.health = to;
    this.#changed = true;
    const atMs = to === 'silent' ? silentSinceMs : nowMs;
    this.#log.note({ nodeId: known.node.id, from, to, atMs }, nowMs);
    return to;
  }
}

function newlyKnown(
  node: RegisteredNode,
  report: NodeReport,
  { health, nowMs }: { health: NodeHealth; nowMs: number },
): Known {
  return {
    node,
    report,
    lastHeartbeatMs: nowMs,
    breaker: CLOSED,
    pace: null,
    weight: null,
    health,
    goneAtMs: nowMs,
  };
}
