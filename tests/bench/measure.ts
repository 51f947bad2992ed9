/**
 * One measurement: puts load on a system and reads what it used. CPU time counts from the first request until the system
 * is idle again, so that work after an answer is part of that measurement and of no other.
 */
import { setTimeout as wait } from 'node:timers/promises';
import type { Load, LoadResult } from './load.ts';
import { cpuMs, forgetPeak, peakBytes } from './proc.ts';
import type { System } from './systems/system.ts';
import { requestBody, type Workload } from './workloads.ts';

export interface Figures extends LoadResult {
  /** null: not known on this platform; so is `peakBytes` */
  readonly cpuMs: number | null;
  readonly peakBytes: number | null;
  /** The time from the last answer until the system was idle. */
  readonly restMs: number;
}

export interface Order {
  readonly workload: Workload;
  readonly connections: number;
  readonly seconds: number;
  /** absent: no warm-up */
  readonly warmUpSeconds?: number;
  /** The most requests; absent: as many as there is time for */
  readonly requests?: number;
}

const POLL_EVERY_MS = 250;
const REST_WITHIN_MS = 120_000;
/** A system counts as idle below this fraction of a core, which covers heartbeats of a few nodes and noise. */
const IDLE_SHARE = 0.06;

/**
 * @param idleShare the fraction of a core that the system uses when idle, which is subtracted
 * @throws Error when an answer is wrong, or the system does not become idle with all its work done
 */
export async function measure(load: Load, system: System, order: Order, idleShare = 0): Promise<Figures> {
  const { workload, connections, seconds, warmUpSeconds = 0, requests } = order;
  const { port, path, headers, keys, pids, body = requestBody } = system;
  forgetPeak(pids);
  const beforeMs = cpuMs(pids);
  const startedMs = Date.now();
  const result = await load.run({
    ...{ port, path, headers, keys, connections, seconds, warmUpSeconds },
    ...{ workload, body: body(workload) },
    ...(requests === undefined ? {} : { requests }),
  });
  const answeredAtMs = Date.now();
  await atRest(system, result.answered, IDLE_SHARE + idleShare);
  const restMs = Date.now() - answeredAtMs;
  const afterMs = cpuMs(pids);
  const idleMs = idleShare * (Date.now() - startedMs);
  await system.verify(result.answered);
  return {
    ...result,
    cpuMs: beforeMs === null || afterMs === null ? null : Math.max(0, afterMs - beforeMs - idleMs),
    peakBytes: peakBytes(pids),
    restMs,
  };
}

/** Measures the fraction of a core that the system uses when idle. */
export async function idleShareOf(system: System, seconds: number): Promise<number> {
  await atRest(system, 0, Number.POSITIVE_INFINITY);
  const beforeMs = cpuMs(system.pids) ?? 0;
  await wait(seconds * 1_000);
  return ((cpuMs(system.pids) ?? 0) - beforeMs) / (seconds * 1_000);
}

/** Waits until the system is idle and has no pending work. @param requests answered since it was last idle */
async function atRest({ name, pids, pending }: System, requests: number, idleShare: number): Promise<void> {
  const deadlineMs = Date.now() + REST_WITHIN_MS;
  for (;;) {
    const beforeMs = cpuMs(pids) ?? 0;
    await wait(POLL_EVERY_MS);
    const usedMs = (cpuMs(pids) ?? 0) - beforeMs;
    const isQuiet = usedMs <= idleShare * POLL_EVERY_MS;
    if (isQuiet && (pending === null || (await pending(requests)) === 0)) return;
    if (Date.now() > deadlineMs)
      throw new Error(
        `${name} did not come to rest in ${REST_WITHIN_MS / 1_000} s: ${await pending?.(requests)} pending`,
      );
  }
}
