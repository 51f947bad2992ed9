/**
 * Billing and receipts side by side, for the operator: open findings, tokens by node, and how far receipts lag
 * behind.
 */
import { database } from '../db/client.ts';
import {
  type CountedTokens,
  closeDrift,
  countedTokensSince,
  type DriftKey,
  type DriftRow,
  findOpenDrift,
  listOpenDrift,
  type NewestReceipt,
  newestReceipts,
  waitingReceipts,
} from '../db/drift.ts';
import { listNodes, type NodeRow } from '../db/nodes.ts';
import type { DriftKind } from '../domain/reconciliation.ts';
import type { Env } from '../env.ts';

export const DRIFT_KINDS = [
  'tokens',
  'implausible',
  'overrun',
  'price',
  'receipt_missing',
  'double',
] as const satisfies readonly DriftKind[];

/** Enough to see what kind of problem it is; closing some shows the next. */
const FINDINGS_SHOWN = 100;
const DAY_MS = 86_400_000;

export interface Reconciliation {
  readonly findings: readonly DriftRow[];
  readonly nodes: readonly NodeRow[];
  readonly counted: readonly CountedTokens[];
  /** Midnight, UTC. */
  readonly countedSinceMs: number;
  readonly newest: readonly NewestReceipt[];
  /** Billed requests whose receipt has not arrived yet. */
  readonly waiting: number;
}

export async function readReconciliation(env: Env, nowMs: number): Promise<Reconciliation> {
  const db = database(env);
  const countedSinceMs = nowMs - (nowMs % DAY_MS);
  const [findings, nodes, counted, newest, { waiting }] = await Promise.all([
    listOpenDrift(db, FINDINGS_SHOWN),
    listNodes(db),
    db.all<CountedTokens>(countedTokensSince(countedSinceMs)),
    db.all<NewestReceipt>(newestReceipts()),
    db.get<{ waiting: number }>(waitingReceipts()),
  ]);
  return { findings, nodes, counted, countedSinceMs, newest, waiting };
}

/**
 * Closes a finding with the note of the operator who looked into it.
 * @returns false when it is not open: explained by a late receipt, closed before, or never found
 */
export async function closeFinding(
  env: Env,
  order: { key: DriftKey; note: string; actor: string; nowMs: number },
): Promise<boolean> {
  const { key, note, actor, nowMs } = order;
  const db = database(env);
  const found = await findOpenDrift(db, key);
  if (found === null) return false;
  const detail = { kind: key.kind, node: key.nodeId || null, note };
  const entry = { atMs: nowMs, actor, action: 'drift.closed', subject: key.requestId, detail };
  return closeDrift(db, { key, nowMs, entry });
}
