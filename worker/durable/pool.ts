/**
 * The Pool: one per model, knows how its nodes are right now. Heartbeats live in memory and cost nothing;
 * what nodes are registered is kept in storage, so that a restarted Pool serves at once instead of waiting for
 * every node to call. Changes of health go to the audit log.
 */
import { DurableObject } from 'cloudflare:workers';
import { addAudit } from '../db/audit.ts';
import { database } from '../db/client.ts';
import { describeError } from '../describe-error.ts';
import type {
  NodeHealth,
  NodeReport,
  NodeView,
  PoolApi,
  PoolSnapshot,
  RegisteredNode,
} from '../domain/node.ts';
import { eject, FRESH, type Probation } from '../domain/routing/ejection.ts';
import { healthOf } from '../domain/routing/health.ts';
import type { Env } from '../env.ts';

/** Twice as long as an isolate keeps a node's row (fleet/node-auth.ts). */
const OPERATOR_STATE_MS = 10_000;

interface Known {
  node: RegisteredNode;
  report: NodeReport;
  lastHeartbeatMs: number;
  probation: Probation;
  /** when the operator last changed its state; a heartbeat may bring an older one from an isolate's cache */
  stateSetAtMs: number;
  /** health when it was last looked at: what a change is measured against */
  health: NodeHealth;
}

export class Pool extends DurableObject<Env> implements PoolApi {
  readonly #nodes = new Map<string, Known>();

  constructor(state: DurableObjectState, env: Env) {
    super(state, env);
    const nowMs = Date.now();
    state.storage.sql.exec(
      'CREATE TABLE IF NOT EXISTS node (id TEXT PRIMARY KEY, known TEXT NOT NULL) STRICT, WITHOUT ROWID',
    );
    for (const { known } of state.storage.sql.exec<{ known: string }>('SELECT known FROM node')) {
      const { node, report } = JSON.parse(known as string) as Pick<Known, 'node' | 'report'>;
      // taken for alive until it could have missed its heartbeats: the edge restarted, the nodes did not
      this.#nodes.set(node.id, {
        node,
        report,
        lastHeartbeatMs: nowMs,
        probation: FRESH,
        stateSetAtMs: 0,
        health: 'up',
      });
    }
  }

  async heartbeat(node: RegisteredNode, report: NodeReport): Promise<NodeView> {
    const nowMs = Date.now();
    const before = this.#nodes.get(node.id);
    // what the operator said is newer than what the heartbeat's isolate may have cached; removed is for good
    const fromOperator =
      before && (before.node.state === 'removed' || nowMs - before.stateSetAtMs < OPERATOR_STATE_MS);
    const known: Known = {
      node: fromOperator ? { ...node, state: before.node.state } : node,
      report,
      lastHeartbeatMs: nowMs,
      probation: before?.probation ?? FRESH,
      stateSetAtMs: before?.stateSetAtMs ?? 0,
      health: before?.health ?? 'silent',
    };
    this.#nodes.set(node.id, known);
    if (!before || JSON.stringify(before.node) !== JSON.stringify(known.node)) this.#keep(known);
    return this.#view(known, nowMs);
  }

  async snapshot(): Promise<PoolSnapshot> {
    const atMs = Date.now();
    const present = [...this.#nodes.values()].filter(({ node }) => node.state !== 'removed');
    return { atMs, nodes: present.map((known) => this.#view(known, atMs)) };
  }

  async reportFailure(nodeId: string): Promise<void> {
    const known = this.#nodes.get(nodeId);
    if (!known) return;
    const nowMs = Date.now();
    known.probation = eject(known.probation, nowMs);
    this.#view(known, nowMs);
  }

  async setState(nodeId: string, state: RegisteredNode['state']): Promise<void> {
    const known = this.#nodes.get(nodeId);
    if (!known) return;
    known.stateSetAtMs = Date.now();
    known.node = { ...known.node, state };
    this.#keep(known);
  }

  #keep({ node, report }: Known): void {
    this.ctx.storage.sql.exec(
      'INSERT OR REPLACE INTO node VALUES (?, ?)',
      node.id,
      JSON.stringify({ node, report }),
    );
  }

  #view(known: Known, nowMs: number): NodeView {
    const health = healthOf(known, nowMs);
    if (health !== known.health) {
      this.ctx.waitUntil(this.#audit(known.node.id, known.health, health, nowMs));
      known.health = health;
    }
    const { node, report, lastHeartbeatMs } = known;
    return {
      ...node,
      health,
      draining: report.draining || node.state === 'draining',
      lastHeartbeatMs,
      inFlight: report.inFlight,
      load: report.load,
    };
  }

  async #audit(nodeId: string, from: NodeHealth, to: NodeHealth, atMs: number): Promise<void> {
    try {
      await addAudit(database(this.env), {
        atMs,
        actor: 'pool',
        action: `node.${to}`,
        subject: nodeId,
        detail: { from },
      });
    } catch (error) {
      // the log is for people: routing does not wait for it and does not fail with it
      console.error(JSON.stringify({ event: 'pool_audit_failed', nodeId, error: describeError(error) }));
    }
  }
}
