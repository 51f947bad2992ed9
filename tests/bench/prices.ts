/** Cloudflare's list prices of the Workers Paid plan beyond its included usage, with their sources, and a bill by them. */
import { type Counts, callsOf, rowsRead, rowsWritten } from './counting.ts';
import { OBJECTS } from './counts.ts';

/** When the pages below named these prices. */
export const PRICES_OF = 'August 2026';

const WORKERS = 'developers.cloudflare.com/workers/platform/pricing';
const OBJECT_PRICES = 'developers.cloudflare.com/durable-objects/platform/pricing';
const D1 = 'developers.cloudflare.com/d1/platform/pricing';
const QUEUES = 'developers.cloudflare.com/queues/platform/pricing';

/** Prices in USD per million. */
export const PRICES = {
  workerRequests: { usd: 0.3, source: WORKERS },
  workerCpuMs: { usd: 0.02, source: WORKERS },
  objectRequests: { usd: 0.15, source: OBJECT_PRICES },
  objectGigabyteSeconds: { usd: 12.5, source: OBJECT_PRICES },
  objectRowsWritten: { usd: 1, source: OBJECT_PRICES },
  objectRowsRead: { usd: 0.001, source: OBJECT_PRICES },
  d1RowsWritten: { usd: 1, source: D1 },
  d1RowsRead: { usd: 0.001, source: D1 },
  queueOperations: { usd: 0.4, source: QUEUES },
} as const;

export type PricedThing = keyof typeof PRICES;

/** The memory for which an active object is billed, however little it uses. */
const OBJECT_GIGABYTES = 0.128;
/** Each message is written, read and deleted. */
const OPERATIONS_PER_MESSAGE = 3;

export interface BillLine {
  readonly thing: PricedThing;
  readonly perRequest: number;
  readonly usdPerMillion: number;
}

/**
 * Computes the bill of a million requests like those counted. Where it is not exact it is an upper bound: CPU time is
 * that of all of workerd, D1 and objects included, and objects are as active as under the load of the counting run.
 * @param cpuMs CPU time per request; null: not known, and left out
 */
export function bill(counts: Counts, cpuMs: number | null): BillLine[] {
  const { objects, d1, queued, requests, answered } = counts;
  const sum = (of: (name: (typeof OBJECTS)[number]) => number) =>
    OBJECTS.reduce((total, name) => total + of(name), 0);
  const used: Record<PricedThing, number> = {
    workerRequests: Object.values(requests).reduce((total, count) => total + count, 0),
    workerCpuMs: (cpuMs ?? 0) * answered,
    objectRequests: sum((name) => callsOf(objects[name]) + objects[name].alarms),
    objectGigabyteSeconds: sum((name) => objects[name].activeMs / 1_000) * OBJECT_GIGABYTES,
    objectRowsWritten: rowsWritten(counts) - d1.rowsWritten,
    objectRowsRead: rowsRead(counts) - d1.rowsRead,
    d1RowsWritten: d1.rowsWritten,
    d1RowsRead: d1.rowsRead,
    queueOperations: queued * OPERATIONS_PER_MESSAGE,
  };
  return (Object.keys(PRICES) as PricedThing[]).map((thing) => {
    const perRequest = used[thing] / answered;
    return { thing, perRequest, usdPerMillion: perRequest * PRICES[thing].usd };
  });
}

export function totalUsd(lines: readonly BillLine[]): number {
  return lines.reduce((sum, { usdPerMillion }) => sum + usdPerMillion, 0);
}
