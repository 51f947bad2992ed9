/** A heartbeat: tells the Pool how the node is, hands its receipts to the Wallets, answers what the node is to do. */
import { Heartbeat, type HeartbeatReply, VERSION_UNKNOWN } from '../../gpu-pool/protocol/schemas.ts';
import { database } from '../db/client.ts';
import { changeEngine, type NodeWithPaths } from '../db/nodes.ts';
import { CANARY_SUBJECT } from '../domain/canary.ts';
import { type NodeReport, type NodeState, nextState } from '../domain/node.ts';
import type { Env } from '../env.ts';
import { parseBody } from '../http/control-body.ts';
import { orderCanary } from './canary-order.ts';
import { clipVersion } from './enrol.ts';
import { forgetNode, type NodeContext } from './node-auth.ts';
import { registered, tellPool } from './nodes.ts';
import { takeReceipts } from './receipts.ts';

/** The parts fail alone: a Pool that is down loses no receipt, a Wallet that is down takes no node away. */
export async function heartbeat(c: NodeContext): Promise<Response> {
  const nowMs = Date.now();
  const node = c.get('node');
  if (node.state === 'removed') return reply(c, 'removed', []);
  const beat = await parseBody(c, Heartbeat);
  if (beat instanceof Response) return beat;

  const told = report(beat, node);
  // before the receipts: a canary's are of the engine that was there until now, and wait where it is not the same
  const [engine] = await Promise.allSettled([noteEngine(c.env, node, beat.engine, nowMs)]);
  const isSame = engine.status === 'fulfilled' && engine.value === 'same';
  const [pool, receipts] = await Promise.allSettled([
    c.env.POOL.getByName(node.modelId).heartbeat(registered(node), told),
    takeReceipts(c.env, node, isSame ? beat.receipts : beat.receipts.filter(isOfCustomer), nowMs),
  ]);
  // after the receipts: one of them may be what a canary waits for
  const [canary] = await Promise.allSettled([orderCanary(c.env, node, told, nowMs)]);
  for (const part of [pool, receipts, engine, canary]) {
    if (part.status === 'rejected') console.error('heartbeat_part_failed', node.id, part.reason);
  }
  const acknowledged = receipts.status === 'fulfilled' ? receipts.value : [];
  return reply(c, DIRECTIVES[node.state], acknowledged);
}

function isOfCustomer({ account_id }: Heartbeat['receipts'][number]): boolean {
  return account_id !== CANARY_SUBJECT;
}

/** A canary is served although no customer is there yet: by it the node is tried. */
const DIRECTIVES: Record<NodeState, HeartbeatReply['directive']> = {
  canary: 'serve',
  active: 'serve',
  draining: 'drain',
  quarantined: 'drain',
  removed: 'removed',
};

function reply(c: NodeContext, directive: HeartbeatReply['directive'], acknowledged: number[]) {
  return c.json({ directive, acknowledged } satisfies HeartbeatReply);
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

/**
 * Versions go to D1 only when they change: a heartbeat comes every two seconds. Another engine has another canary
 * before it, because customers are sold its weights under their own name. An unknown version is no news, so it never
 * comes between two that differ; the first that becomes known is that of the engine that was tried.
 * @returns whether the engine is the one that this isolate has read of
 */
async function noteEngine(
  env: Env,
  node: NodeWithPaths,
  engine: Heartbeat['engine'],
  nowMs: number,
): Promise<'same' | 'another'> {
  const said = clipVersion(engine.version);
  const engineVersion = said === VERSION_UNKNOWN ? node.engineVersion : said;
  const weightVersion = clipVersion(engine.weight_version);
  if (engineVersion === node.engineVersion && weightVersion === node.weightVersion) return 'same';
  const { id: nodeId, state: from } = node;
  const isAnother = node.engineVersion !== VERSION_UNKNOWN || weightVersion !== node.weightVersion;
  const to = (isAnother && nextState(from, 'engine_changed')) || from;
  const byNode = { atMs: nowMs, actor: `node:${nodeId}`, subject: nodeId };
  const detail = { engine_version: engineVersion, weight_version: weightVersion };
  const changed = await changeEngine(database(env), {
    ...{ nodeId, engineVersion, weightVersion, from, to },
    entries: [
      { ...byNode, action: 'node.engine_changed', detail },
      ...(to === from ? [] : [{ ...byNode, action: `node.${to}`, detail: { from } }]),
    ],
  });
  if (changed && to !== from) await tellPool(env, nodeId);
  // read anew also where nothing was changed: the node is not as this isolate thought it was
  forgetNode(nodeId);
  return 'another';
}
