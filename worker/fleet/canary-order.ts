/** Orders a canary attempt when one is due. Each heartbeat of a node in the state `canary` checks this. */
import { canaryStanding, recordCanaryAttempt } from '../db/canary.ts';
import { database } from '../db/client.ts';
import { nextAttemptAtMs, overdueFault } from '../domain/canary.ts';
import type { NodeReport, NodeState } from '../domain/node.ts';
import type { Env } from '../env.ts';

/** A task in the queue is in no table yet, so this isolate orders no other for this long. */
const IN_QUEUE_MS = 10_000;

/** When an attempt was last ordered, by node id. Only existing nodes have entries, so it grows no larger than the fleet. */
const orderedAtMs = new Map<string, number>();

/**
 * Sends the task if an attempt is due. An extra task does no harm: the consumer checks again and begins at most one
 * attempt.
 */
export async function orderCanary(
  env: Env,
  node: { id: string; state: NodeState },
  report: Pick<NodeReport, 'engineHealthy' | 'draining'>,
  nowMs: number,
): Promise<void> {
  if (node.state !== 'canary' || !report.engineHealthy || report.draining) return;
  if (nowMs - (orderedAtMs.get(node.id) ?? Number.NEGATIVE_INFINITY) < IN_QUEUE_MS) return;
  const db = database(env);
  const { state, sinceMs, attempts } = await canaryStanding(db, node.id);
  if (state !== 'canary') return;
  const [last] = attempts;
  const fault = last && overdueFault(last, nowMs);
  if (fault) return recordCanaryAttempt(db, last.requestId, { fault });
  const dueAtMs = nextAttemptAtMs(attempts, sinceMs);
  if (dueAtMs === null || nowMs < dueAtMs) return;
  await env.TASKS.send({ kind: 'canary', nodeId: node.id });
  orderedAtMs.set(node.id, nowMs);
}
