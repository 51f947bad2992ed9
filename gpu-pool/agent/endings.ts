/** The ways an agent ends: drained, closed, or as if it had been killed. */
import type { Server } from 'node:http';
import type { AbortWatch } from './abort-watch.ts';
import type { ActiveRequests } from './active-requests.ts';
import type { EngineWatch } from './engine-watch.ts';
import type { HeartbeatLoop } from './heartbeat.ts';
import type { Journal } from './journal.ts';
import type { StateLock } from './state-lock.ts';

export interface Endings {
  /** Takes no more work, waits for what runs (aborted after the deadline), reports the last receipts, closes. */
  drain(options?: { deadlineMs?: number }): Promise<void>;
  /** Ends running requests now; a drain under way then finishes. */
  abortRunning(): void;
  /** Aborts what runs, writes its receipts, closes, without a word to the edge. */
  close(): Promise<void>;
  /** As SIGKILL would: nothing more is written or sent. */
  kill(): Promise<void>;
}

export const DRAIN_DEADLINE_MS = 600_000;
const LAST_REPORT_MS = 3_000;
/** The last bytes of the last answers are still on their way out. */
const LAST_BYTES_MS = 500;

export function endings(parts: {
  refuseWork: () => void;
  flights: ActiveRequests;
  heartbeats: HeartbeatLoop;
  watch: EngineWatch;
  aborts: AbortWatch;
  journal: Journal;
  doors: Server[];
  lock: StateLock;
}): Endings {
  const { refuseWork, flights, heartbeats, watch, aborts, journal, doors, lock } = parts;
  let shutting: Promise<void> | null = null;
  return {
    abortRunning: () => flights.abortAll('shutdown'),
    async drain({ deadlineMs = DRAIN_DEADLINE_MS } = {}) {
      refuseWork();
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
      refuseWork();
      flights.abortAll('shutdown');
      await flights.empty();
      await shut();
    },
    async kill() {
      refuseWork();
      rest();
      await journal.abandon();
      for (const door of doors) {
        door.close();
        door.closeAllConnections();
      }
      lock.release();
    },
  };

  function shut(): Promise<void> {
    shutting ??= shutOnce();
    return shutting;
  }

  async function shutOnce(): Promise<void> {
    rest();
    for (const door of doors) {
      door.close();
      door.closeIdleConnections();
      setTimeout(() => door.closeAllConnections(), LAST_BYTES_MS).unref();
    }
    await journal.close();
    lock.release();
  }

  function rest(): void {
    heartbeats.stop();
    watch.stop();
    aborts.stop();
  }

  /** At least one heartbeat, and more while the edge keeps taking receipts. */
  async function reportLast(): Promise<void> {
    for (;;) {
      const before = journal.unacknowledged;
      const taken = await heartbeats.beatNow();
      if (!taken || journal.unacknowledged === 0 || journal.unacknowledged >= before) return;
    }
  }
}
