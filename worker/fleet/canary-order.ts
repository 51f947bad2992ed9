/** When a node without customers is to be tried: looked at with each of its heartbeats. */
import { canaryStanding, noteTry } from '../db/canary.ts';
import { database } from '../db/client.ts';
import { nextTryAtMs, overdueFault } from '../domain/canary.ts';
import type { NodeReport, NodeState } from '../domain/node.ts';
import type { Env } from '../env.ts';

/** A task on its way through the queue is in no table yet: this isolate sends no other for so long. */
const ON_ITS_WAY_MS = 10_000;

/** By node id. Only nodes that exist get in, so it is as large as the fleet. */
const orderedAtMs = new Map<string, number>();

/** Sends the task when a try is due. One too many does no harm: the consumer looks again, and begins at most one. */
export async function orderCanary(
  env: Env,
  node: { id: string; state: NodeState },
  report: Pick<NodeReport, 'engineHealthy' | 'draining'>,
  nowMs: number,
): Promise<void> {
  if (node.state !== 'canary' || !report.engineHealthy || report.draining) return;
  if (nowMs - (orderedAtMs.get(node.id) ?? Number.NEGATIVE_INFINITY) < ON_ITS_WAY_MS) return;
  const db = database(env);
  const { state, sinceMs, tries } = await canaryStanding(db, node.id);
  if (state !== 'canary') return;
  const [last] = tries;
  const fault = last && overdueFault(last, nowMs);
  if (fault) return noteTry(db, last.requestId, { fault });
  const dueAtMs = nextTryAtMs(tries, sinceMs);
  if (dueAtMs === null || nowMs < dueAtMs) return;
  await env.TASKS.send({ kind: 'canary', nodeId: node.id });
  orderedAtMs.set(node.id, nowMs);
}
