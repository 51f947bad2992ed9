/** An operator's actions on nodes: create a join token, drain, quarantine, restore and remove. All are audited. */
import { HARDWARE } from '../../gpu-pool/protocol/constants.ts';
import { database } from '../db/client.ts';
import { addJoinToken, changeNodeState, findNode, type NodeRow } from '../db/nodes.ts';
import { newId } from '../domain/ids.ts';
import { type NodeAction, type NodeState, nextState, type RegisteredNode } from '../domain/node.ts';
import { config, type Env } from '../env.ts';
import { LoggableError } from '../lib/describe-error.ts';
import { signJoinToken } from '../tokens/join-token.ts';
import { forgetNode } from './node-auth.ts';

export { type AuditRow, listAudit } from '../db/audit.ts';
export { listNodes, type NodeRow } from '../db/nodes.ts';

/** Time to bring the token to the GPU host and start the engine there: weights of 671B parameters load for an hour. */
export const JOIN_TOKEN_LIFETIME_MS = 24 * 3_600_000;

/** The form of a node's name, which appears on pages, in logs and in metrics. */
export const NODE_NAME = /^[A-Za-z0-9](?:[A-Za-z0-9 ._-]{0,61}[A-Za-z0-9._-])?$/;

/**
 * Creates a token that enrols exactly one node, for this model on this hardware, within a day.
 * @throws Error when the model does not exist, or name or hardware are malformed: callers check first
 */
export async function createJoinToken(
  env: Env,
  spec: { name: string; modelId: string; hardware: string; actor: string; nowMs: number },
): Promise<{ token: string; expiresAtMs: number }> {
  const { name, modelId, actor, nowMs } = spec;
  const hardware = HARDWARE.find((known) => known === spec.hardware);
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

/** A concurrent change makes an attempt fail. Three in a row are no coincidence, so then the call fails. */
const ATTEMPTS_MAX = 3;

/**
 * Carries out an operator's action on a node. A repeated call changes nothing in D1 but updates the Pool again, which heals
 * a call that broke off between D1 and the Pool.
 * @returns the node's new state; null when there is no such node or it was removed. A removed node returns only by
 *   enrolling again.
 */
export async function changeNode(
  env: Env,
  order: { nodeId: string; action: NodeAction; actor: string; nowMs: number },
): Promise<NodeState | null> {
  const { nodeId, action, actor, nowMs } = order;
  const db = database(env);
  for (let attempt = 1; attempt <= ATTEMPTS_MAX; attempt++) {
    const before = await findNode(db, nodeId);
    const to = before && nextState(before.state, action);
    if (!to) return null;
    const { state: from } = before;
    // Restoring a canary starts it over, and its new audit row dates that start.
    const isDone = from === to && to !== 'canary';
    const entry = { atMs: nowMs, actor, action: `node.${to}`, subject: nodeId, detail: { from } };
    if (!isDone && !(await changeNodeState(db, { nodeId, from, to, entry }))) continue;
    await notifyPool(env, nodeId);
    return to;
  }
  throw new LoggableError(`the state of ${nodeId} changes too often`);
}

/** Makes a change in D1 known: this isolate forgets its copy of the node, and the Pool gets the new row. */
export async function notifyPool(env: Env, nodeId: string): Promise<void> {
  forgetNode(nodeId);
  const node = await findNode(database(env), nodeId);
  if (node !== null) await env.POOL.getByName(node.modelId).register(registered(node));
}

/** The part of a node's row that its Pool stores. */
export function registered(node: NodeRow): RegisteredNode {
  const { id, name, modelId, hardware, url, capacity, state, revision } = node;
  return { id, name, modelId, hardware, url, capacity, state, revision };
}
