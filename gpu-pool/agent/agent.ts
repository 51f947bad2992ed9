/**
 * The agent, wired together: once its preflight has passed it watches the engine, serves requests, reports to the edge
 * and drains. One agent stands in front of one engine.
 */
import { HEARTBEAT_INTERVAL_MS } from '../protocol/schemas.ts';
import { AbortWatch } from './abort-watch.ts';
import { ActiveRequests } from './active-requests.ts';
import { AdmissionGate } from './admission.ts';
import { edgeKeysOf } from './edge-keys.ts';
import { inspectEngine } from './engine-check.ts';
import { hasStoppedScheduler } from './engine-processes.ts';
import { SILENCE_MS } from './engine-pulse.ts';
import { EngineQueue } from './engine-queue.ts';
import { EngineWatch } from './engine-watch.ts';
import type { Deadlines, GenerateContext } from './generate-context.ts';
import { AGENT_VERSION, HeartbeatLoop } from './heartbeat.ts';
import { type Log, logToStderr } from './log.ts';
import { Metrics, type MetricsSnapshot } from './metrics.ts';
import { createMetricsServer } from './metrics-server.ts';
import type { AgentOptions } from './options.ts';
import { type Preflight, preflight } from './preflight.ts';
import { createRequestServer } from './request-server.ts';
import { createRequestTokenVerifier } from './request-token.ts';
import { readLoad } from './sglang/load.ts';
import { createShutdown, type Shutdown } from './shutdown.ts';
import { HeldModel } from './sold-model.ts';

export { DRAIN_DEADLINE_MS } from './shutdown.ts';

export interface Agent extends Shutdown {
  /** Where the edge's requests are served, `http://host:port`. */
  url: string;
  /** Where /metrics is served, `http://host:port`. */
  metricsUrl: string;
  nodeId: string;
  /** Resolves when the edge has removed this node and its last request has ended. */
  removed: Promise<void>;
}

export const DEFAULT_DEADLINES: Deadlines = {
  firstTokenMs: 120_000,
  idleMs: 30_000,
  abortGraceMs: 5_000,
  abortProofMs: 30_000,
  silenceMs: SILENCE_MS,
};

/** The options, with a default for each that was left out. */
interface Settings {
  now: () => number;
  random: () => number;
  log: Log;
  intervalMs: number;
  deadlines: Deadlines;
  processRoot: string | undefined;
}

/** Everything that runs once the preflight has passed. */
interface Services {
  context: GenerateContext;
  heartbeats: HeartbeatLoop;
  admission: AdmissionGate;
  nodeId: string;
  /** Resolves when the edge has removed this node and its last request has ended. */
  removed: Promise<void>;
}

/** @throws StartRefused with a sentence for the operator */
export async function startAgent(options: AgentOptions): Promise<Agent> {
  const settings: Settings = {
    now: options.now ?? Date.now,
    random: options.random ?? Math.random,
    log: options.log ?? logToStderr,
    intervalMs: options.heartbeatIntervalMs ?? HEARTBEAT_INTERVAL_MS,
    deadlines: { ...DEFAULT_DEADLINES, ...options.deadlines },
    processRoot: options.processRoot,
  };
  const { now, log } = settings;
  const metrics = new Metrics();
  let services: Services | null = null;
  // The servers listen before the node has enrolled, because enrolment tells the edge their address.
  const requestServer = createRequestServer(() => services?.context ?? null);
  const metricsServer = createMetricsServer(metrics, () => services && metricsSnapshot(services));
  const ready = await preflight(options, { requestServer, metricsServer, now, log });
  logChangedUrl(options, ready, log);

  services = createServices(ready, settings, metrics);
  const { context, heartbeats, admission, nodeId, removed } = services;
  const { watch, activeRequests, aborts, journal } = context;
  await watch.start();
  heartbeats.start();
  return {
    url: ready.url,
    metricsUrl: ready.metricsUrl,
    nodeId,
    removed,
    ...createShutdown({
      stopAdmission: () => admission.stop(),
      activeRequests,
      heartbeats,
      watch,
      aborts,
      journal,
      servers: [requestServer, metricsServer],
      lock: ready.lock,
    }),
  };
}

/**
 * Logs that the node's URL differs from the one it enrolled with. Without `--url` the listen address is compared, and only
 * if the node enrolled with its listen address: otherwise the two always differ.
 */
function logChangedUrl({ publicUrl }: AgentOptions, { url, node }: Preflight, log: Log): void {
  const differs = (publicUrl ?? url) !== node.url;
  const enrolledOwnAddress = node.url === `http://${node.listen}`;
  if (!differs || (publicUrl === undefined && !enrolledOwnAddress)) return;
  log('url_changed', {
    enrolled: node.url,
    advice: 'The edge expects this node at the URL it enrolled with: keep that URL, or enrol again.',
  });
}

function createServices(ready: Preflight, settings: Settings, metrics: Metrics): Services {
  const { engine, facts, checkOptions, journal, node, stateDir } = ready;
  const { now, random, log, intervalMs, deadlines, processRoot } = settings;
  const admission = new AdmissionGate();
  const removed = Promise.withResolvers<void>();
  const edgeKeys = edgeKeysOf(node.edge_url);
  const activeRequests = new ActiveRequests({ usedIds: journal.requestIds, now });
  const model = new HeldModel({
    stateDir,
    log,
    sold: node.sold,
    shipped: ready.shipped,
    onChange: () => watch.inspectSoon(),
  });
  const watch = new EngineWatch({
    engine,
    facts,
    inspect: (contextTokens) => {
      const { profile, contextTokens: sold } = model.requirements;
      return inspectEngine(engine, { ...checkOptions, profile, contextTokens: contextTokens ?? sold });
    },
    log,
    hasStopped: () => hasStoppedScheduler(engine.url, processRoot),
    onHealth: () => heartbeats.sendSoon(0),
    now,
    intervalMs,
    silenceMs: deadlines.silenceMs,
  });
  const aborts = new AbortWatch({
    inFlightSequences: () => activeRequests.sequences,
    look: () => readLoad(engine, { queuedPerRankMax: null }),
    intervalMs,
    proofDeadlineMs: deadlines.abortProofMs,
    now,
    onProof: (proof) => metrics.abort(proof),
    log,
  });
  const heartbeats = new HeartbeatLoop({
    node,
    intervalMs,
    now,
    random,
    log,
    report: () => ({
      engine: { healthy: watch.healthy, deterministic: watch.deterministic, ...watch.info },
      load: watch.load,
      in_flight: activeRequests.size,
      draining: !admission.open,
      edge_keys: edgeKeys.ids(),
      sold_version: model.version,
    }),
    pending: (max) => journal.pending(max),
    onAcknowledged: (seqs) => journal.acknowledged(seqs),
    onDirective: (directive) => {
      if (admission.follow(directive)) log('directive', { directive });
      if (directive === 'removed') void activeRequests.whenEmpty().then(() => removed.resolve());
    },
    onEdgeKeys: (ids) => void edgeKeys.expect(ids),
    onSold: (message) => void model.receive(message),
  });
  const context: GenerateContext = {
    ...{ engine, watch, journal, activeRequests, aborts, deadlines, metrics, log, now },
    queue: new EngineQueue(),
    verifyToken: createRequestTokenVerifier({ keys: edgeKeys.find, nodeId: node.node_id, now }),
    serving: () => admission.open,
    onReceipt: () => heartbeats.sendSoon(),
  };
  return { context, heartbeats, admission, nodeId: node.node_id, removed: removed.promise };
}

function metricsSnapshot({ context, heartbeats, admission, nodeId }: Services): MetricsSnapshot {
  const { activeRequests, watch, journal, aborts, now } = context;
  const flag = (is: boolean) => (is ? 1 : 0);
  return {
    gauges: {
      in_flight: activeRequests.size,
      sequences: activeRequests.sequences,
      room: watch.sequencesMax,
      receipts_unacknowledged: journal.unacknowledged,
      draining: flag(!admission.open),
      engine_healthy: flag(watch.healthy),
      engine_fits: flag(watch.fits),
      engine_silence_seconds: watch.silentMs / 1_000,
      engine_running_requests: watch.load.running_requests,
      engine_waiting_requests: watch.load.waiting_requests,
      edge_reachable: flag(heartbeats.reachable),
      heartbeat_age_seconds: Math.max(0, now() - heartbeats.acceptedAtMs) / 1_000,
      aborts_pending: aborts.pending,
    },
    info: {
      version: AGENT_VERSION,
      node: nodeId,
      engine_version: watch.info.version,
      model_path: watch.info.model_path,
    },
  };
}
