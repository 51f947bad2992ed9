/** A heartbeat: tells the Pool how the node is, hands its receipts to the Wallets, answers what the node is to do. */
import type { Context } from 'hono';
import { Heartbeat, type HeartbeatReply } from '../../gpu-pool/protocol.ts';
import { database } from '../db/client.ts';
import { changeEngine, type NodeWithPaths } from '../db/nodes.ts';
import type { NodeReport, RegisteredNode } from '../domain/node.ts';
import type { Env } from '../env.ts';
import { parseBody } from './body.ts';
import { clipVersion } from './enrol.ts';
import { forgetNode } from './node-auth.ts';
import { takeReceipts } from './receipts.ts';

/** A full heartbeat of 200 receipts is under 64 KiB; the rest is room for a protocol that grows. */
export const HEARTBEAT_BYTES_MAX = 1024 * 1024;

export type HeartbeatContext = Context<{ Bindings: Env; Variables: { node: NodeWithPaths } }>;

/** The three parts fail alone: a Pool that is down loses no receipt, a Wallet that is down takes no node away. */
export async function heartbeat(c: HeartbeatContext): Promise<Response> {
  const nowMs = Date.now();
  const node = c.get('node');
  if (node.state === 'removed') return reply(c, 'removed', []);
  const beat = await parseBody(c, Heartbeat);
  if (beat instanceof Response) return beat;

  const [pool, receipts, engine] = await Promise.allSettled([
    c.env.POOL.getByName(node.modelId).heartbeat(registered(node), report(beat, node)),
    takeReceipts(c.env, node, beat.receipts, nowMs),
    noteEngine(c.env, node, beat.engine, nowMs),
  ]);
  for (const part of [pool, receipts, engine]) {
    if (part.status === 'rejected') console.error('heartbeat_part_failed', node.id, part.reason);
  }
  const acknowledged = receipts.status === 'fulfilled' ? receipts.value : [];
  return reply(c, node.state === 'draining' ? 'drain' : 'serve', acknowledged);
}

function reply(c: HeartbeatContext, directive: HeartbeatReply['directive'], acknowledged: number[]) {
  return c.json({ directive, acknowledged } satisfies HeartbeatReply);
}

function registered(node: NodeWithPaths): RegisteredNode {
  const { id, name, modelId, hardware, url, capacity, state } = node;
  return { id, name, modelId, hardware, url, capacity, state };
}

/** An engine restarted with other weights counts as down: customers are sold these weights under their own name. */
function report(beat: Heartbeat, node: NodeWithPaths): NodeReport {
  return {
    engineHealthy: beat.engine.healthy && node.modelPaths.includes(beat.engine.model_path),
    draining: beat.draining,
    inFlight: beat.in_flight,
    load: beat.load,
  };
}

/** Versions go to D1 only when they change: a heartbeat comes every two seconds. */
async function noteEngine(env: Env, node: NodeWithPaths, engine: Heartbeat['engine'], nowMs: number) {
  const engineVersion = clipVersion(engine.version);
  const weightVersion = clipVersion(engine.weight_version);
  if (engineVersion === node.engineVersion && weightVersion === node.weightVersion) return;
  await changeEngine(database(env), {
    nodeId: node.id,
    engineVersion,
    weightVersion,
    entry: {
      atMs: nowMs,
      actor: `node:${node.id}`,
      action: 'node.engine_changed',
      subject: node.id,
      detail: { engine_version: engineVersion, weight_version: weightVersion },
    },
  });
  forgetNode(node.id);
}
