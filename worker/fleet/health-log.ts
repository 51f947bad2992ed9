/** Writes changes of nodes' health to the audit log in batches. A node that flaps gets a limited number of rows. */
import { addAudit } from '../db/audit.ts';
import type { Database } from '../db/client.ts';
import type { NodeHealth } from '../domain/node.ts';
import { describeError } from '../lib/describe-error.ts';

/** Rate limit per node: a burst of 10 rows, then one row a minute. */
const LINES_MAX = 10;
const LINE_EVERY_MS = 60_000;
/** Rows in one D1 batch: half of a large pool may change at once. */
const BATCH_MAX = 100;

export interface HealthChange {
  readonly nodeId: string;
  readonly from: NodeHealth;
  readonly to: NodeHealth;
  readonly atMs: number;
}

interface Allowance {
  lines: number;
  sinceMs: number;
  /** Changes without a row since the last row. */
  unlogged: number;
}

export class HealthLog {
  readonly #db: Database;
  readonly #waitUntil: (promise: Promise<unknown>) => void;
  readonly #allowances = new Map<string, Allowance>();
  #pending: Parameters<typeof addAudit>[1][] = [];
  #writing = false;

  constructor(db: Database, waitUntil: (promise: Promise<unknown>) => void) {
    this.#db = db;
    this.#waitUntil = waitUntil;
  }

  /** Adds a change. @param nowMs when the change was noticed; `atMs` of the change is when it happened */
  add({ nodeId, from, to, atMs }: HealthChange, nowMs: number): void {
    const unlogged = this.#takeLine(nodeId, nowMs);
    if (unlogged === null) return;
    const detail = { from, ...(unlogged > 0 && { unlogged }) };
    this.#pending.push({ atMs, actor: 'pool', action: `node.${to}`, subject: nodeId, detail });
    if (this.#writing) return;
    this.#writing = true;
    this.#waitUntil(this.#write());
  }

  forget(nodeId: string): void {
    this.#allowances.delete(nodeId);
  }

  /**
   * Takes a row from the node's allowance.
   * @returns the number of changes without a row since the last one; null: no row is left
   */
  #takeLine(nodeId: string, nowMs: number): number | null {
    const before = this.#allowances.get(nodeId) ?? { lines: LINES_MAX, sinceMs: nowMs, unlogged: 0 };
    const earned = Math.max(0, Math.floor((nowMs - before.sinceMs) / LINE_EVERY_MS));
    const lines = Math.min(LINES_MAX, before.lines + earned);
    const sinceMs = lines === LINES_MAX ? nowMs : before.sinceMs + earned * LINE_EVERY_MS;
    const mayWrite = lines > 0;
    this.#allowances.set(nodeId, {
      lines: mayWrite ? lines - 1 : 0,
      sinceMs,
      unlogged: mayWrite ? 0 : before.unlogged + 1,
    });
    return mayWrite ? before.unlogged : null;
  }

  async #write(): Promise<void> {
    // Changes that are added in the same turn join this batch.
    await Promise.resolve();
    while (this.#pending.length > 0) {
      const entries = this.#pending.splice(0, BATCH_MAX);
      const [first, ...rest] = entries.map((entry) => addAudit(this.#db, entry));
      try {
        await this.#db.batch([first!, ...rest]);
      } catch (error) {
        // Only people read the log, so routing does not fail when a write does.
        const lost = entries.map(({ subject }) => subject);
        console.error(JSON.stringify({ event: 'pool_audit_failed', lost, error: describeError(error) }));
      }
    }
    this.#writing = false;
  }
}
