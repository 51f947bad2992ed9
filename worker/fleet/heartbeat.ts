/** Handles a heartbeat: reports the node to its Pool, hands its receipts to the Wallets, and answers with a directive. */
import { Heartbeat, type HeartbeatReply, VERSION_UNKNOWN } from '../../gpu-pool/protocol/schemas.ts';
import { database } from '../db/client.ts';
import { changeEngine, type NodeWithModel } from '../db/nodes.ts';
import { CANARY_SUBJECT } from '../domain/canary.ts';
import { type NodeReport, type NodeState, type NodeView, nextState } from '../domain/node.ts';
import type { Env } from '../env.ts';
import { parseBody } from '../http/control-body.ts';
import { describeError } from '../lib/describe-error.ts';
import { orderCanary } from './canary-order.ts';
import { announceEdgeKeys } from './edge-keys.ts';
import { clipVersion } from './enrol.ts';
import { forgetNode, type NodeContext } from './node-auth.ts';
import { notifyPool, registered } from './nodes.ts';
import { takeReceipts } from './receipts.ts';
import { changedModel } from './sold-model.ts';

/**
 * Its parts fail independently: receipts are taken while the Pool is down, and the node stays in the Pool while a
 * Wallet is down.
 */
export async function heartbeat(c: NodeContext): Promise<Response> {
  const nowMs = Date.now();
  const node = c.get('node');
  if (node.state === 'removed') return reply(c, { directive: 'removed', acknowledged: [] });
  const beat = await parseBody(c, Heartbeat);
  if (beat instanceof Response) return beat;

  const report = reportOf(beat, node);
  // This comes before the receipts: canary receipts are of the engine so far, and must wait if it has changed.
  const [engine] = await Promise.allSettled([recordEngine(c.env, node, beat.engine, nowMs)]);
  const isSame = engine.status === 'fulfilled' && engine.value === 'same';
  const [pool, receipts] = await Promise.allSettled([
    c.env.POOL.getByName(node.modelId).heartbeat(registered(node), report),
    takeReceipts(c.env, node, isSame ? beat.receipts : beat.receipts.filter(isOfCustomer), nowMs),
  ]);
  // This comes after the receipts: one of them may complete the last attempt.
  const [canary] = await Promise.allSettled([orderCanary(c.env, node, report, nowMs)]);
  for (const outcome of [pool, receipts, engine, canary]) {
    if (outcome.status === 'rejected') {
      const event = { event: 'heartbeat_part_failed', nodeId: node.id, error: describeError(outcome.reason) };
      console.error(JSON.stringify(event));
    }
  }
  const acknowledged = receipts.status === 'fulfilled' ? receipts.value : [];
  const edgeKeys = await announceEdgeKeys(c.env, { nodeId: node.id, held: beat.edge_keys, nowMs });
  const sold = changedModel(node.sold, beat.sold_version);
  const state = newestState(node, pool.status === 'fulfilled' ? pool.value : node);
  const pulse = mayPulse(state, pool, edgeKeys) ? ({ pulse: true } as const) : {};
  return reply(c, { directive: DIRECTIVES[state], acknowledged, ...edgeKeys, ...sold, ...pulse });
}

/** The node's state by the newer of both rows: the Pool hears of a change at once, and this isolate reads rows seldom. */
function newestState(node: NodeWithModel, view: Pick<NodeView, 'state' | 'revision'>): NodeState {
  if (view.revision <= node.revision) return node.state;
  forgetNode(node.id);
  return view.state;
}

/**
 * Whether a pulse may stand for heartbeats: only of a node in service, which a known Pool hears. While EDGE_SIGNING_KEY is
 * rotated and while a canary is tried, every heartbeat counts.
 */
function mayPulse(
  state: NodeState,
  pool: PromiseSettledResult<unknown>,
  { edge_keys }: { edge_keys?: string[] },
): boolean {
  return state === 'active' && pool.status === 'fulfilled' && edge_keys === undefined;
}

function isOfCustomer({ account_id }: Heartbeat['receipts'][number]): boolean {
  return account_id !== CANARY_SUBJECT;
}

/** A node in state `canary` is to serve too, because canary requests are how it is tried. */
const DIRECTIVES: Record<NodeState, HeartbeatReply['directive']> = {
  canary: 'serve',
  active: 'serve',
  draining: 'drain',
  quarantined: 'drain',
  removed: 'removed',
};

function reply(c: NodeContext, reply: HeartbeatReply) {
  return c.json(reply);
}

/**
 * The report for the Pool. An engine that serves other weights counts as down, because customers buy these weights by
 * name.
 */
function reportOf(beat: Heartbeat, node: NodeWithModel): NodeReport {
  return {
    engineHealthy: beat.engine.healthy && node.modelPaths.includes(beat.engine.model_path),
    draining: beat.draining,
    inFlight: beat.in_flight,
    load: beat.load,
    ...(beat.engine.deterministic ? { deterministic: true } : {}),
  };
}

/**
 * Writes the engine's versions to D1 when they have changed; most heartbeats change nothing. Another engine sends the node
 * back to its canary, because customers buy its weights by name. A version that the engine does not report never counts
 * as a change, and the first one that becomes known is taken for that of the engine that was tried.
 * @returns whether the engine is the one in the row that this isolate has read
 */
async function recordEngine(
  env: Env,
  node: NodeWithModel,
  engine: Heartbeat['engine'],
  nowMs: number,
): Promise<'same' | 'another'> {
  const reported = clipVersion(engine.version);
  const engineVersion = reported === VERSION_UNKNOWN ? node.engineVersion : reported;
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
  if (changed && to !== from) await notifyPool(env, nodeId);
  // The row is read again even if this call changed nothing, because this isolate's copy was out of date.
  forgetNode(nodeId);
  return 'another';
}
