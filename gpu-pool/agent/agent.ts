/**
 * The agent, wired: it checks the engine, enrols, opens the journal, serves, reports, and drains.
 * One agent stands in front of one engine.
 */
import { HEARTBEAT_INTERVAL_MS } from '../protocol.ts';
import { checkEngine, parseEngine } from './engine-check.ts';
import { EngineWatch } from './engine-watch.ts';
import { join } from './enrol.ts';
import { FlightBook } from './flight.ts';
import { createFrontDoor } from './front-door.ts';
import type { Deadlines, GenerateContext } from './generate.ts';
import { HeartbeatLoop } from './heartbeat.ts';
import { Journal } from './journal.ts';
import { listen, parseListen, urlOf } from './listen.ts';
import { type Log, logToStderr } from './log.ts';
import { Metrics } from './metrics.ts';
import { makeStateDirectory, type NodeState, readNodeState } from './node-state.ts';
import { createRequestTokenVerifier } from './request-token.ts';
import { StartRefused } from './start-refused.ts';

export interface AgentOptions {
  /** origin of the engine, on loopback */
  engineUrl: string;
  engineKey?: string | undefined;
  engineAdminKey?: string | undefined;
  /** skips the check that nobody else reaches the engine (a private container network) */
  allowExposedEngine?: boolean;
  /** once; not needed when `stateDir` knows the node */
  joinToken?: string | undefined;
  /** else the join token's `edge` claim */
  edgeUrl?: string | undefined;
  /** host:port; port 0 takes a free one */
  listen?: string | undefined;
  /** where the edge reaches this agent; else its own address */
  publicUrl?: string | undefined;
  stateDir: string;
  deadlines?: Partial<Deadlines>;
  heartbeatIntervalMs?: number;
  /** size past which the journal is rewritten */
  journalCompactAtBytes?: number;
  now?: () => number;
  random?: () => number;
  log?: Log;
}

export interface Agent {
  /** where it listens, `http://host:port` */
  url: string;
  nodeId: string;
  /** resolves when the edge has removed this node and its last request has ended */
  removed: Promise<void>;
  /** Takes no more work, waits for what runs (aborted after the deadline), reports the last receipts, closes. */
  drain(options?: { deadlineMs?: number }): Promise<void>;
  /** Ends running requests now; a drain under way then finishes. */
  abortRunning(): void;
  /** Aborts what runs, writes its receipts, closes, without a word to the edge. */
  close(): Promise<void>;
  /** As SIGKILL would: nothing more is written or sent. */
  kill(): Promise<void>;
}

export const DEFAULT_DEADLINES: Deadlines = { firstTokenMs: 120_000, idleMs: 30_000, abortGraceMs: 5_000 };
export const DRAIN_DEADLINE_MS = 600_000;
const LAST_REPORT_MS = 3_000;

/** @throws StartRefused with one sentence for the operator */
export async function startAgent(options: AgentOptions): Promise<Agent> {
  const now = options.now ?? Date.now;
  const log = options.log ?? logToStderr;
  const intervalMs = options.heartbeatIntervalMs ?? HEARTBEAT_INTERVAL_MS;
  const engine = parseEngine(options);
  const info = await checkEngine(engine, { allowExposed: options.allowExposedEngine ?? false });

  await makeStateDirectory(options.stateDir).catch(() => {
    throw new StartRefused(
      'state_unusable',
      `${options.stateDir} cannot be created: choose another --state.`,
    );
  });
  const saved = await readNodeState(options.stateDir);
  if (saved !== null && 'unreadable' in saved) {
    throw new StartRefused(
      'state_unusable',
      `${saved.unreadable} is damaged: delete it and enrol with a new join token.`,
    );
  }

  let context: GenerateContext | null = null;
  const server = createFrontDoor(() => context);
  const url = urlOf(await listen(server, parseListen(options.listen ?? '127.0.0.1:0', saved?.listen)));
  const journal = await Journal.open(options.stateDir, {
    now,
    ...(options.journalCompactAtBytes ? { compactAtBytes: options.journalCompactAtBytes } : {}),
  }).catch(() => {
    server.close();
    throw new StartRefused(
      'state_unusable',
      `The journal in ${options.stateDir} cannot be written: choose another --state.`,
    );
  });
  const node: NodeState =
    (saved && { ...saved, edge_url: options.edgeUrl ?? saved.edge_url }) ??
    (await join({ ...options, url, engine: info }).catch(async (error: unknown) => {
      server.close();
      await journal.close();
      throw error;
    }));

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
  const flights = new FlightBook({ used: journal.requestIds, now });
  const watch = new EngineWatch({ engine, info, now, intervalMs });
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
    verifyToken: createRequestTokenVerifier({ edgeUrl: node.edge_url, nodeId: node.node_id, now }),
    deadlines: { ...DEFAULT_DEADLINES, ...options.deadlines },
    metrics: new Metrics(),
    log,
    now,
    serving,
    onReceipt: () => heartbeats.soon(),
  };
  await watch.start();
  heartbeats.start();

  let shutting: Promise<void> | null = null;
  const shut = () => {
    shutting ??= shutOnce();
    return shutting;
  };
  const shutOnce = async () => {
    heartbeats.stop();
    watch.stop();
    server.close();
    server.closeIdleConnections();
    // The last bytes of the last answers are still on their way out.
    setTimeout(() => server.closeAllConnections(), 500).unref();
    await journal.close();
  };

  return {
    url,
    nodeId: node.node_id,
    removed: removed.promise,
    abortRunning: () => flights.abortAll('shutdown'),
    async drain({ deadlineMs = DRAIN_DEADLINE_MS } = {}) {
      stopping = true;
      heartbeats.soon(0);
      const timer = setTimeout(() => flights.abortAll('shutdown'), deadlineMs);
      await flights.empty();
      clearTimeout(timer);
      heartbeats.stop();
      await Promise.race([
        reportLast(),
        new Promise((resolve) => setTimeout(resolve, LAST_REPORT_MS).unref()),
      ]);
      await shut();
    },
    async close() {
      stopping = true;
      flights.abortAll('shutdown');
      await flights.empty();
      await shut();
    },
    async kill() {
      stopping = true;
      heartbeats.stop();
      watch.stop();
      await journal.abandon();
      server.close();
      server.closeAllConnections();
    },
  };

  /** At least one heartbeat, and more while the edge keeps taking receipts. */
  async function reportLast(): Promise<void> {
    for (;;) {
      const before = journal.unacknowledged;
      const taken = await heartbeats.beatNow();
      if (!taken || journal.unacknowledged === 0 || journal.unacknowledged >= before) return;
    }
  }
}
