/**
 * The agent, wired: once it has its ground it watches the engine, serves, reports, and drains. One agent stands in
 * front of one engine.
 */
import { HEARTBEAT_INTERVAL_MS } from '../protocol/schemas.ts';
import { AbortWatch } from './abort-watch.ts';
import { ActiveRequests } from './active-requests.ts';
import { type Endings, endings } from './endings.ts';
import { inspectEngine } from './engine-check.ts';
import { EngineWatch } from './engine-watch.ts';
import type { Deadlines, GenerateContext } from './generate-context.ts';
import { AGENT_VERSION, HeartbeatLoop } from './heartbeat.ts';
import { logToStderr } from './log.ts';
import { type Instant, Metrics } from './metrics.ts';
import { createMetricsServer } from './metrics-server.ts';
import type { AgentOptions } from './options.ts';
import { preflight } from './preflight.ts';
import { createRequestServer } from './request-server.ts';
import { createRequestTokenVerifier } from './request-token.ts';
import { readLoad } from './sglang/load.ts';

export { DRAIN_DEADLINE_MS } from './endings.ts';

export interface Agent extends Endings {
  /** where it listens, `http://host:port` */
  url: string;
  /** where /metrics is */
  operatorUrl: string;
  nodeId: string;
  /** resolves when the edge has removed this node and its last request has ended */
  removed: Promise<void>;
}

export const DEFAULT_DEADLINES: Deadlines = {
  firstTokenMs: 120_000,
  idleMs: 30_000,
  abortGraceMs: 5_000,
  abortProofMs: 30_000,
};

/** @throws StartRefused with a sentence for the operator */
export async function startAgent(options: AgentOptions): Promise<Agent> {
  const now = options.now ?? Date.now;
  const log = options.log ?? logToStderr;
  const intervalMs = options.heartbeatIntervalMs ?? HEARTBEAT_INTERVAL_MS;
  const deadlines = { ...DEFAULT_DEADLINES, ...options.deadlines };
  const metrics = new Metrics();
  let context: GenerateContext | null = null;
  const front = createRequestServer(() => context);
  const operator = createMetricsServer(metrics, () => (context === null ? null : instant()));
  const ground = await preflight(options, { front, operator, now });
  const { engine, facts, demands, journal, node, url } = ground;

  if (
    (options.publicUrl ?? url) !== node.url &&
    (options.publicUrl !== undefined || node.url === `http://${node.listen}`)
  ) {
    log('url_changed', {
      enrolled: node.url,
      advice: 'The edge looks for this node at the enrolled URL: keep it, or enrol again.',
    });
  }

  // Three wishes to take no work: the operator's, the edge's, and none of ours once removed.
  let stopping = false;
  let directive: 'serve' | 'drain' | 'removed' = 'serve';
  const serving = () => !stopping && directive === 'serve';
  const removed = Promise.withResolvers<void>();
  const flights = new ActiveRequests({ used: journal.requestIds, now });
  const watch = new EngineWatch({
    engine,
    facts,
    inspect: () => inspectEngine(engine, demands),
    log,
    now,
    intervalMs,
  });
  const aborts = new AbortWatch({
    inHand: () => flights.sequences,
    readLoad: () => readLoad(engine, { queuedPerRankMax: null }),
    intervalMs,
    boundMs: deadlines.abortProofMs,
    now,
    onProof: (proof) => metrics.abort(proof),
    log,
  });
  const heartbeats = new HeartbeatLoop({
    node,
    intervalMs,
    now,
    random: options.random ?? Math.random,
    log,
    report: () => ({
      engine: { healthy: watch.healthy, ...watch.info },
      load: watch.load,
      in_flight: flights.size,
      draining: !serving(),
    }),
    pending: (max) => journal.pending(max),
    onAcknowledged: (seqs) => journal.acknowledged(seqs),
    onDirective: (next) => {
      if (next !== directive) log('directive', { directive: next });
      directive = next;
      if (next === 'removed') void flights.empty().then(() => removed.resolve());
    },
  });
  context = {
    engine,
    watch,
    journal,
    flights,
    aborts,
    verifyToken: createRequestTokenVerifier({ edgeUrl: node.edge_url, nodeId: node.node_id, now }),
    deadlines,
    metrics,
    log,
    now,
    serving,
    onReceipt: () => heartbeats.soon(),
  };
  await watch.start();
  heartbeats.start();

  return {
    url,
    operatorUrl: ground.operatorUrl,
    nodeId: node.node_id,
    removed: removed.promise,
    ...endings({
      refuseWork: () => {
        stopping = true;
      },
      ...{ flights, heartbeats, watch, aborts, journal },
      doors: [front, operator],
      lock: ground.lock,
    }),
  };

  function instant(): Instant {
    const flag = (is: boolean) => (is ? 1 : 0);
    return {
      gauges: {
        in_flight: flights.size,
        sequences: flights.sequences,
        room: watch.room,
        receipts_unacknowledged: journal.unacknowledged,
        draining: flag(!serving()),
        engine_healthy: flag(watch.healthy),
        engine_fits: flag(watch.fits),
        engine_running_requests: watch.load.running_requests,
        engine_waiting_requests: watch.load.waiting_requests,
        edge_reachable: flag(heartbeats.reachable),
        heartbeat_age_seconds: Math.max(0, now() - heartbeats.acceptedAtMs) / 1_000,
        aborts_pending: aborts.pending,
      },
      info: {
        version: AGENT_VERSION,
        node: node.node_id,
        engine_version: watch.info.version,
        model_path: watch.info.model_path,
      },
    };
  }
}
