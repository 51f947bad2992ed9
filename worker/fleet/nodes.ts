/** What an operator does to the pool: lets a node in, drains it, holds it back, restores and removes it, all audited. */
import { HARDWARE } from '../../gpu-pool/protocol/constants.ts';
import { database } from '../db/client.ts';
import { addJoinToken, changeNodeState, findNode, type NodeRow } from '../db/nodes.ts';
import { newId } from '../domain/ids.ts';
import { type NodeState, type NodeVerb, nextState, type RegisteredNode } from '../domain/node.ts';
import { config, type Env } from '../env.ts';
import { signJoinToken } from '../tokens/join-token.ts';
import { forgetNode } from './node-auth.ts';

export { type AuditRow, listAudit } from '../db/audit.ts';
export { listNodes, type NodeRow } from '../db/nodes.ts';

/** Time to carry the token to the GPU host and start the engine there (weights of 671B load for an hour). */
export const JOIN_TOKEN_LIFETIME_MS = 24 * 3_600_000;

/** A node's name goes to pages, logs and metrics. */
export const NODE_NAME = /^[A-Za-z0-9][A-Za-z0-9 ._-]{0,62}$/;

/**
 * A token that lets in exactly one node, for this model on this hardware, within a day.
 * @throws Error when the model does not exist, or name or hardware have another shape: callers check first
 */
export async function createJoinToken(
  env: Env,
  order: { name: string; modelId: string; hardware: string; actor: string; nowMs: number },
): Promise<{ token: string; expiresAtMs: number }> {
  const { name, modelId, actor, nowMs } = order;
  const hardware = HARDWARE.find((known) => known === order.hardware);
  if (hardware === undefined || !NODE_NAME.test(name)) throw new Error('createJoinToken: unchecked input');
  const settings = config(env);
  const joinId = newId('join', nowMs);
  const expiresAtMs = nowMs + JOIN_TOKEN_LIFETIME_MS;
  const token = await signJoinToken(
    settings,
    { jti: joinId, edge: settings.publicOrigin, name, model: modelId, hardware },
    { nowMs, expiresAtMs },
  );
  await addJoinToken(
    database(env),
    { id: joinId, nodeName: name, modelId, hardware, createdAtMs: nowMs, expiresAtMs },
    {
      atMs: nowMs,
      actor,
      action: 'join_token.created',
      subject: joinId,
      detail: { name, model: modelId, hardware },
    },
  );
  return { token, expiresAtMs };
}

/** Somebody else may change the node at the same instant; three times in a row nobody does. */
const ATTEMPTS_MAX = 3;

/**
 * Does to a node what the operator says. Said twice it is done once, but the Pool is told again: a call that broke
 * between D1 and the Pool is healed by repeating it.
 * @returns the node's state from now on; null when there is no such node, or it was removed: a removed node comes back
 *   only by enrolling anew
 */
export async function changeNode(
  env: Env,
  order: { nodeId: string; verb: NodeVerb; actor: string; nowMs: number },
): Promise<NodeState | null> {
  const { nodeId, verb, actor, nowMs } = order;
  const db = database(env);
  for (let attempt = 1; attempt <= ATTEMPTS_MAX; attempt++) {
    const before = await findNode(db, nodeId);
    const to = before && nextState(before.state, verb);
    if (!to) return null;
    const { state: from } = before;
    // a canary that is restored begins anew, and its audit row says since when
    const isDone = from === to && to !== 'canary';
    const entry = { atMs: nowMs, actor, action: `node.${to}`, subject: nodeId, detail: { from } };
    if (!isDone && !(await changeNodeState(db, { nodeId, from, to, entry }))) continue;
    await tellPool(env, nodeId);
    return to;
  }
  throw new Error(`the state of ${nodeId} changes too often`);
}

/** After a change in D1: this isolate reads the node again, and its Pool knows at once. */
export async function tellPool(env: Env, nodeId: string): Promise<void> {
  forgetNode(nodeId);
  const node = await findNode(database(env), nodeId);
  if (node !== null) await env.POOL.getByName(node.modelId).register(registered(node));
}

/** What the Pool keeps of a row. */
export function registered(node: NodeRow): RegisteredNode {
  const { id, name, modelId, hardware, url, capacity, state, revision } = node;
  return { id, name, modelId, hardware, url, capacity, state, revision };
}
