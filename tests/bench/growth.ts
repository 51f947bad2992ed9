/**
 * Measures how costs grow with the number of nodes, keys, past requests and concurrent streams. Each size has a database
 * filled for it and a workerd of its own.
 */
import { join } from 'node:path';
import { modulesOf } from '../../gpu-pool/local/modules.ts';
import { countRequests, rowsRead, rowsWritten } from './counting.ts';
import type { Load } from './load.ts';
import { idleShareOf, measure } from './measure.ts';
import type { World } from './seed.ts';
import { SMALL_WORLD, startTollgate } from './systems/tollgate.ts';
import type { TimeLimit } from './time-limit.ts';
import type { Upstream } from './upstream.ts';
import { workloadNamed } from './workloads.ts';

export type Dimension = 'nodes' | 'keys' | 'usage events' | 'concurrent streams';

export interface GrowthLine {
  readonly dimension: Dimension;
  readonly size: number;
  /** CPU time per request, without the CPU time that the system uses when idle. */
  readonly cpuMsPerRequest: number | null;
  /** The fraction of a core that the system uses when idle, for heartbeats. */
  readonly idleShare: number;
  readonly p50Ms: number;
  /** Rows written per request, in all stores. */
  readonly rowsWritten: number;
  readonly rowsRead: number;
}

export type Shape = 'flat' | 'log' | 'linear';
/** The rule by which a shape is named, which is printed below the table. */
export const RULE =
  'flat: the last size costs at most 1.25 times the first; log: each tenfold adds at most the first again; linear: more';

const SIZES: Record<Dimension, readonly number[]> = {
  nodes: [1, 10, 100, 1_000],
  keys: [1, 1_000, 100_000],
  'usage events': [1_000, 100_000, 10_000_000],
  'concurrent streams': [1, 10, 100, 1_000],
};
/** The sizes without --growth: one, and that of the goal, if there is one. */
const QUICK: Record<Dimension, readonly number[]> = {
  nodes: [1, 1_000],
  keys: [1, 100_000],
  'usage events': [],
  'concurrent streams': [1, 1_000],
};

const SECONDS = 3;
const WARM_UP_SECONDS = 1;
const IDLE_SECONDS = 4;
const CONNECTIONS = 16;
/** So many that the first requests, which have holds of their own before there is a lease, hardly count. */
const COUNTED_REQUESTS = 500;
const COUNTED_PER_CONNECTION = 20;

export interface GrowthOrder {
  readonly script: string;
  /** A folder that is empty or does not exist. */
  readonly dir: string;
  readonly load: Load;
  readonly upstream: Upstream;
  /** Measures all sizes, also those without a goal. */
  readonly all: boolean;
  readonly limit: TimeLimit;
}

/**
 * Measures the first size of a dimension before and after the others, so that a machine that changes meanwhile shows, and
 * takes the mean of both.
 * @param onLine receives each line as it is done
 */
export async function growth(order: GrowthOrder, onLine: (line: GrowthLine) => void): Promise<GrowthLine[]> {
  const lines: GrowthLine[] = [];
  for (const dimension of Object.keys(SIZES) as Dimension[]) {
    const sizes = (order.all ? SIZES : QUICK)[dimension];
    const measured: GrowthLine[] = [];
    for (const [i, size] of [...sizes, ...sizes.slice(0, 1)].entries()) {
      if (!order.limit.allows(`growth: ${dimension}, ${size.toLocaleString('en')}`)) break;
      const dir = join(order.dir, `${dimension.replace(' ', '-')}-${i}`);
      const line = await lineOf({ ...order, dir }, dimension, size);
      measured.push(line);
      onLine(line);
    }
    lines.push(...withMean(measured));
  }
  return lines;
}

/** Takes the mean of CPU of two lines of one size, which stands in the place of the first. */
export function withMean(lines: readonly GrowthLine[]): GrowthLine[] {
  const [first, ...others] = lines;
  const again = others.at(-1);
  if (!first || again?.size !== first.size) return [...lines];
  const [before, after] = [first.cpuMsPerRequest, again.cpuMsPerRequest];
  const mean = before === null || after === null ? null : (before + after) / 2;
  return [{ ...first, cpuMsPerRequest: mean }, ...others.slice(0, -1)];
}

async function lineOf(order: GrowthOrder, dimension: Dimension, size: number): Promise<GrowthLine> {
  const { script, dir, load, upstream } = order;
  const streams = dimension === 'concurrent streams';
  const workload = workloadNamed(streams ? 'stream' : 'small');
  const connections = streams ? size : CONNECTIONS;
  const world = worldOf(dimension, size);
  const tollgate = await startTollgate({
    dir: join(dir, 'timed'),
    modules: modulesOf(script),
    world,
    upstream,
  });
  const timed = await (async () => {
    const idleShare = await idleShareOf(tollgate, IDLE_SECONDS);
    const times = { seconds: SECONDS, warmUpSeconds: WARM_UP_SECONDS };
    return { idleShare, ...(await measure(load, tollgate, { workload, connections, ...times }, idleShare)) };
  })().finally(() => tollgate.stop());
  const requests = Math.max(COUNTED_REQUESTS, COUNTED_PER_CONNECTION * connections);
  const counted = { script, dir: join(dir, 'counted'), requests, connections, world };
  const counts = await countRequests({ ...counted, workload: workload.name });
  return {
    ...{ dimension, size, idleShare: timed.idleShare, p50Ms: timed.totalMs.p50 },
    cpuMsPerRequest: timed.cpuMs === null ? null : timed.cpuMs / timed.answered,
    rowsWritten: rowsWritten(counts) / counts.answered,
    rowsRead: rowsRead(counts) / counts.answered,
  };
}

function worldOf(dimension: Dimension, size: number): World {
  switch (dimension) {
    case 'nodes':
      return { ...SMALL_WORLD, nodes: size };
    case 'keys':
      return { ...SMALL_WORLD, keys: size };
    case 'usage events':
      return { ...SMALL_WORLD, usageEvents: size };
    case 'concurrent streams':
      return SMALL_WORLD;
  }
}

/** Names the shape by RULE. */
export function shapeOf(points: readonly { readonly size: number; readonly cost: number }[]): Shape | null {
  const [first, last] = [points[0], points.at(-1)];
  if (!first || !last || first.size === last.size || first.cost <= 0) return null;
  const ratio = last.cost / first.cost;
  if (ratio <= 1.25) return 'flat';
  return ratio <= 1 + Math.log10(last.size / first.size) ? 'log' : 'linear';
}
