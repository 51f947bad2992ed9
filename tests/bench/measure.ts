/**
 * One measurement: load on one system, and what it used for that. CPU time counts from the first request until the system
 * is at rest again, so that what is done after an answer is in its price, and in nobody else's.
 */
import { setTimeout as wait } from 'node:timers/promises';
import type { Load, LoadResult } from './load.ts';
import { cpuMs, forgetPeak, peakBytes } from './proc.ts';
import type { System } from './systems/system.ts';
import type { Workload } from './workloads.ts';

export interface Figures extends LoadResult {
  /** null, here and below: not known on this platform */
  readonly cpuMs: number | null;
  readonly peakBytes: number | null;
  /** from the last answer until all was done */
  readonly restMs: number;
}

export interface Order {
  readonly workload: Workload;
  readonly connections: number;
  readonly seconds: number;
  /** absent: none */
  readonly warmUpSeconds?: number;
  /** at most; absent: as many as there is time for */
  readonly requests?: number;
}

const LOOK_EVERY_MS = 250;
const REST_WITHIN_MS = 120_000;
/** Of a core: heartbeats of a few nodes, and the noise of other processes. */
const IDLE_SHARE = 0.06;

/** @throws Error when an answer is wrong, or the system does not come to rest with all its work done */
// `idleShare`: of a core that it uses with nobody asking, which is no request's
export async function measure(load: Load, system: System, order: Order, idleShare = 0): Promise<Figures> {
  const { workload, connections, seconds, warmUpSeconds = 0, requests } = order;
  const { port, path, headers, keys, pids } = system;
  forgetPeak(pids);
  const beforeMs = cpuMs(pids);
  const startedMs = Date.now();
  const result = await load.run({
    ...{ port, path, headers, keys, connections, seconds, warmUpSeconds },
    workload: workload.name,
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

/** Of one core, with nobody asking. */
export async function idleShareOf(system: System, seconds: number): Promise<number> {
  await atRest(system, 0, Number.POSITIVE_INFINITY);
  const beforeMs = cpuMs(system.pids) ?? 0;
  await wait(seconds * 1_000);
  return ((cpuMs(system.pids) ?? 0) - beforeMs) / (seconds * 1_000);
}

/** @param requests answered since it was last at rest */
async function atRest({ name, pids, pending }: System, requests: number, idleShare: number): Promise<void> {
  const deadlineMs = Date.now() + REST_WITHIN_MS;
  for (;;) {
    const beforeMs = cpuMs(pids) ?? 0;
    await wait(LOOK_EVERY_MS);
    const usedMs = (cpuMs(pids) ?? 0) - beforeMs;
    const isQuiet = usedMs <= idleShare * LOOK_EVERY_MS;
    if (isQuiet && (pending === null || (await pending(requests)) === 0)) return;
    if (Date.now() > deadlineMs)
      throw new Error(
        `${name} did not come to rest in ${REST_WITHIN_MS / 1_000} s: ${await pending?.(requests)} pending`,
      );
  }
}
