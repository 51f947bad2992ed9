/** The cost of a million requests at list price, for three kinds of key and answer. */
import { join } from 'node:path';
import type { Row } from './comparison.ts';
import { type CountOrder, type Counts, countRequests } from './counting.ts';
import { type BillLine, bill } from './prices.ts';
import type { SystemName } from './systems/system.ts';
import { SMALL_WORLD } from './systems/tollgate.ts';
import { workloadNamed } from './workloads.ts';

export type CostKind = 'busy' | 'seldom' | 'long';

export interface Cost {
  readonly kind: CostKind;
  readonly counts: Counts;
  /** Milliseconds of a request; null: not measured in this run, and not billed */
  readonly cpuMs: number | null;
  readonly bill: readonly BillLine[];
}

/** Keys of which each was used once before, and is used once more, seconds later. */
const SELDOM_KEYS = 1_000;

export const KINDS: Record<CostKind, { title: string; order: Omit<CountOrder, 'script' | 'dir'> }> = {
  busy: {
    title: '4-token answers of a busy key',
    // So many that the higher cost of a burst's first and last requests does not show.
    order: { requests: 10_000, connections: 64 },
  },
  seldom: {
    title: '4-token answers of keys that are used seldom: the second request of each',
    order: {
      ...{ requests: SELDOM_KEYS, warmUp: SELDOM_KEYS, connections: 16 },
      world: { ...SMALL_WORLD, keys: SELDOM_KEYS },
    },
  },
  long: {
    title: '4,000-token answers of a busy key, their CPU at an engine’s pace',
    order: { requests: 400, connections: 16, workload: 'reasoning' },
  },
};

/** @param rows of the same run, for CPU time without the counters' own */
export async function costOf(
  kind: CostKind,
  { script, dir }: { script: string; dir: string },
  rows: readonly Row[],
): Promise<Cost> {
  const counts = await countRequests({ script, dir: join(dir, kind), ...KINDS[kind].order });
  const cpuMs = cpuMsOf(kind, rows) ?? (kind === 'seldom' ? counts.cpuMsPerRequest : null);
  return { kind, counts, cpuMs, bill: bill(counts, cpuMs) };
}

/** The number of paced streams at which an event's CPU is taken: an isolate that is neither idle nor full. */
const PACED_STREAMS = 100;

/** Milliseconds of CPU of such a request; null: the run did not measure it */
export function cpuMsOf(kind: CostKind, rows: readonly Row[]): number | null {
  const row = (workload: string, connections: number, system: SystemName = 'tollgate') =>
    rows.find(
      (each) => each.workload === workload && each.connections === connections && each.system === system,
    );
  const small = row('small', 16)?.cpuMsPerRequest?.median ?? null;
  if (kind === 'busy') return small;
  if (kind === 'seldom') return null;
  const event = row('paced', PACED_STREAMS)?.cpuUsPerEvent?.median ?? null;
  return event === null ? null : (event * workloadNamed('reasoning').tokens) / 1_000;
}
