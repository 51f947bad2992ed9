/** The ways an agent ends: drained, closed, or killed as SIGKILL would. */
import type { Server } from 'node:http';
import type { AbortWatch } from './abort-watch.ts';
import type { ActiveRequests } from './active-requests.ts';
import type { EngineWatch } from './engine-watch.ts';
import type { HeartbeatLoop } from './heartbeat.ts';
import type { Journal } from './journal.ts';
import type { StateLock } from './state-lock.ts';

export interface Shutdown {
  /**
   * Takes no more work, waits for running requests (aborted after the deadline), reports the last receipts, closes.
   */
  drain(options?: { deadlineMs?: number }): Promise<void>;
  /** Aborts running requests now; a drain under way then finishes. */
  abortRunning(): void;
  /** Aborts running requests, writes their receipts and closes, without a last report to the edge. */
  close(): Promise<void>;
  /** Ends as SIGKILL would: nothing more is written or sent. */
  kill(): Promise<void>;
}

export const DRAIN_DEADLINE_MS = 600_000;
const LAST_REPORT_MS = 3_000;
/** The last bytes of the last answers may still be on their way to the edge when the servers close. */
const LAST_BYTES_MS = 500;

/** Everything that an agent has to stop or close when it ends. */
export interface AgentResources {
  stopAdmission: () => void;
  activeRequests: ActiveRequests;
  heartbeats: HeartbeatLoop;
  watch: EngineWatch;
  aborts: AbortWatch;
  journal: Journal;
  servers: Server[];
  lock: StateLock;
}

export function createShutdown(resources: AgentResources): Shutdown {
  const { stopAdmission, activeRequests, heartbeats, journal, servers, lock } = resources;
  let closing: Promise<void> | null = null;
  const closeOnce = (): Promise<void> => {
    closing ??= closeResources(resources);
    return closing;
  };
  return {
    abortRunning: () => activeRequests.abortAll('shutdown'),
    async drain({ deadlineMs = DRAIN_DEADLINE_MS } = {}) {
      stopAdmission();
      heartbeats.sendSoon(0);
      const timer = setTimeout(() => activeRequests.abortAll('shutdown'), deadlineMs);
      await activeRequests.whenEmpty();
      clearTimeout(timer);
      await journal.settled();
      heartbeats.stop();
      await Promise.race([
        reportLastReceipts(heartbeats, journal),
        new Promise((resolve) => setTimeout(resolve, LAST_REPORT_MS).unref()),
      ]);
      await closeOnce();
    },
    async close() {
      stopAdmission();
      activeRequests.abortAll('shutdown');
      await activeRequests.whenEmpty();
      await closeOnce();
    },
    async kill() {
      stopAdmission();
      stopTimers(resources);
      await journal.abandon();
      for (const server of servers) {
        server.close();
        server.closeAllConnections();
      }
      lock.release();
    },
  };
}

async function closeResources(resources: AgentResources): Promise<void> {
  const { servers, journal, lock } = resources;
  stopTimers(resources);
  for (const server of servers) {
    server.close();
    server.closeIdleConnections();
    setTimeout(() => server.closeAllConnections(), LAST_BYTES_MS).unref();
  }
  await journal.close();
  lock.release();
}

function stopTimers({ heartbeats, watch, aborts }: AgentResources): void {
  heartbeats.stop();
  watch.stop();
  aborts.stop();
}

/** Sends at least one heartbeat, and more while the edge keeps acknowledging receipts. */
async function reportLastReceipts(heartbeats: HeartbeatLoop, journal: Journal): Promise<void> {
  for (;;) {
    const before = journal.unacknowledged;
    const accepted = await heartbeats.sendNow();
    if (!accepted || journal.unacknowledged === 0 || journal.unacknowledged >= before) return;
  }
}
