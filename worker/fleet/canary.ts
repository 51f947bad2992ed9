/**
 * Tries a node that gets no customers yet: the canary's two requests, sent as the gateway sends a customer's. What the
 * edge sees is written down here; the node's receipt decides (canary-receipts.ts).
 */
import { beginTry, canaryStanding, noteTry } from '../db/canary.ts';
import { loadCatalogue } from '../db/catalogue.ts';
import { database } from '../db/client.ts';
import { findNode } from '../db/nodes.ts';
import { answersFault, type CanaryFault, newCanaryIds, nextTryAtMs } from '../domain/canary.ts';
import type { NodeView } from '../domain/node.ts';
import { isGone } from '../domain/routing/health.ts';
import type { Usage } from '../domain/usage.ts';
import type { Env } from '../env.ts';
import { askNode } from './ask-node.ts';

/** Safe to repeat, also at the same instant: D1 lets one call begin a try, and only one that is due. */
export async function runCanary(env: Env, nodeId: string, nowMs: number): Promise<void> {
  const db = database(env);
  const { state, sinceMs, tries } = await canaryStanding(db, nodeId);
  const dueAtMs = nextTryAtMs(tries, sinceMs);
  if (state !== 'canary' || dueAtMs === null || nowMs < dueAtMs) return;
  const [node, catalogue] = await Promise.all([viewOf(env, nodeId), loadCatalogue(db)]);
  const model = catalogue.find(({ id }) => id === node?.modelId);
  // it went away while the task waited: its heartbeats will order another
  if (node === null || model === undefined) return;

  const { firstId, secondId } = newCanaryIds(nowMs);
  const begun = { requestId: secondId, nodeId, atMs: nowMs, newest: tries[0] };
  if (!(await beginTry(db, begun))) return;
  await noteTry(db, secondId, await attempt(env, { node, model, requestIds: [firstId, secondId] }));
}

/** The node as its Pool sees it, at the address that D1 has of it; null while it is gone, without an engine, or leaving. */
async function viewOf(env: Env, nodeId: string): Promise<NodeView | null> {
  const registered = await findNode(database(env), nodeId);
  if (registered === null) return null;
  const { nodes } = await env.POOL.getByName(registered.modelId).snapshot();
  const view = nodes.find(({ id }) => id === nodeId);
  if (!view || isGone(view.health) || view.draining) return null;
  return { ...view, url: registered.url };
}

interface Attempt {
  readonly node: NodeView;
  readonly model: { readonly reasoning: boolean };
  readonly requestIds: readonly [string, string];
}

async function attempt(
  env: Env,
  { node, model, requestIds: [firstId, secondId] }: Attempt,
): Promise<{ usage: Usage | null; fault: CanaryFault | null }> {
  const first = await askNode(env, node, firstId);
  if (typeof first === 'string') return { usage: null, fault: first };
  const second = await askNode(env, node, secondId);
  if (typeof second === 'string') return { usage: null, fault: second };
  return { usage: second.usage, fault: answersFault([first, second], model) };
}
