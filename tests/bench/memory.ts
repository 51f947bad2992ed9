/**
 * Measures the memory of an open stream: what a system takes while a thousand streams are open, less what it takes without
 * any, by the proportional set size of its processes. Each system is fresh, because a heap that has grown before would hide
 * what streams need.
 */
import { setTimeout as wait } from 'node:timers/promises';
import type { Load } from './load.ts';
import { measure } from './measure.ts';
import { proportionalBytes } from './proc.ts';
import { median } from './statistics.ts';
import type { System, SystemName } from './systems/system.ts';
import { answerMs, OPEN, requestBody, workloadNamed } from './workloads.ts';

export interface MemoryLine {
  readonly system: SystemName;
  readonly streams: number;
  readonly closedBytes: number;
  readonly openBytes: number;
  readonly bytesPerStream: number;
}

const STREAMS = 1_000;
/** Requests that load a system's code and fill its first heap. */
const WARM_UP = { connections: 16, seconds: 2 };
const READS = 5;
const READ_EVERY_MS = 500;

/** @returns null where the platform tells no memory */
export async function memoryOf(load: Load, system: System): Promise<MemoryLine | null> {
  await measure(load, system, { workload: workloadNamed('stream'), ...WARM_UP });
  const closedBytes = proportionalBytes(system.pids);
  if (closedBytes === null) return null;
  const { port, path, headers, keys, body = requestBody } = system;
  const begun = Promise.withResolvers<void>();
  const order = {
    ...{ port, path, headers, keys, body: body(OPEN), workload: OPEN },
    ...{ connections: STREAMS, warmUpSeconds: 0, seconds: (2 * answerMs(OPEN)) / 1_000 },
  };
  const loaded = load.run(order, begun.resolve);
  // Connections begin within the time of one answer and then send again, so after it all are open for as long.
  const [openBytes] = await Promise.all([readOpen(system, begun.promise), loaded]);
  await system.verify((await loaded).answered);
  const bytesPerStream = Math.max(0, openBytes - closedBytes) / STREAMS;
  return { system: system.name, streams: STREAMS, closedBytes, openBytes, bytesPerStream };
}

async function readOpen({ pids }: System, begun: Promise<void>): Promise<number> {
  await begun;
  await wait(1.25 * answerMs(OPEN));
  const reads: number[] = [];
  for (let i = 0; i < READS; i++) {
    reads.push(proportionalBytes(pids)!);
    await wait(READ_EVERY_MS);
  }
  return median(reads);
}
