/** What an operator does to the pool: lets a node in, drains, restores and removes it. Each leaves an audit row. */
import { HARDWARE } from '../../gpu-pool/protocol.ts';
import { database } from '../db/client.ts';
import { addJoinToken, changeNodeState, findNode, type NodeRow } from '../db/nodes.ts';
import { newId } from '../domain/ids.ts';
import { config, type Env } from '../env.ts';
import { signJoinToken } from './edge-keys.ts';
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

/**
 * Drains (`draining`), restores (`active`) or removes a node. Said twice it is done once, but the Pool is told again:
 * a call that broke between D1 and the Pool is healed by repeating it.
 * @returns false when there is no such node, or it was removed: a removed node comes back only by enrolling anew
 */
export async function setNodeState(
  env: Env,
  { nodeId, state, actor, nowMs }: { nodeId: string; state: NodeRow['state']; actor: string; nowMs: number },
): Promise<boolean> {
  const db = database(env);
  const before = await findNode(db, nodeId);
  if (before === null) return false;
  const changed = await changeNodeState(db, {
    nodeId,
    state,
    entry: { atMs: nowMs, actor, action: `node.${state}`, subject: nodeId, detail: { from: before.state } },
  });
  if (!changed && (await findNode(db, nodeId))?.state !== state) return false;
  forgetNode(nodeId);
  await env.POOL.getByName(before.modelId).setState(nodeId, state);
  return true;
}
