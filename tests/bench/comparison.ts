/** Compares systems: each round measures all of them in turn, so that disturbances of this machine affect all alike. */
import type { Load } from './load.ts';
import { type Figures, measure, type Order } from './measure.ts';
import { overRounds, type Rounds } from './statistics.ts';
import type { System, SystemName } from './systems/system.ts';
import type { TimeLimit } from './time-limit.ts';
import { type Workload, workloadNamed } from './workloads.ts';

/** The figures of one system under one workload; null: not known */
export interface Row {
  readonly workload: string;
  readonly connections: number;
  readonly system: SystemName;
  readonly requestsPerSecond: Rounds | null;
  readonly eventsPerSecond: Rounds | null;
  readonly p50Ms: Rounds | null;
  readonly p99Ms: Rounds | null;
  /** The latency in excess of a direct request to the upstream in the same round; so are the next two. */
  readonly addedP50Ms: Rounds | null;
  readonly addedP99Ms: Rounds | null;
  readonly addedFirstMs: Rounds | null;
  readonly cpuMsPerRequest: Rounds | null;
  readonly cpuUsPerEvent: Rounds | null;
  readonly peakBytes: Rounds | null;
  readonly rounds: readonly Figures[];
}

export interface Plan {
  readonly workloads: readonly Workload[];
  /** null: those of each workload */
  readonly connections: readonly number[] | null;
  readonly rounds: number;
  readonly seconds: number;
  readonly limit: TimeLimit;
}

const WARM_UP_SECONDS = 0.5;

/** @param onRows receives the rows of a workload and number of connections as they are done */
export async function compare(
  load: Load,
  systems: readonly System[],
  plan: Plan,
  onRows: (rows: readonly Row[]) => void,
): Promise<Row[]> {
  const all: Row[] = [];
  const failed = new Set<SystemName>();
  for (const workload of plan.workloads) {
    if (workload.paceMs !== null) await warmUp(load, systems, failed);
    for (const connections of plan.connections ?? workload.connections) {
      if (!plan.limit.allows(`${workload.title}, ${connections} connections`)) continue;
      const fitting = systems.filter(({ fits }) => fits?.(workload, connections) ?? true);
      const order = {
        ...{ workload, connections, seconds: plan.seconds * workload.durationFactor },
        warmUpSeconds: WARM_UP_SECONDS,
      };
      const figures = await inRounds(load, fitting, order, plan.rounds, failed);
      const upstream = figures.get('upstream') ?? null;
      const rows = [...figures].map(([system, each]) =>
        rowOf({ workload, connections, system }, each, upstream),
      );
      all.push(...rows);
      onRows(rows);
    }
  }
  return all;
}

/** Measures all systems in each round. @returns the figures of those that have not failed */
async function inRounds(
  load: Load,
  systems: readonly System[],
  order: Order,
  rounds: number,
  failed: Set<SystemName>,
): Promise<Map<SystemName, Figures[]>> {
  const figures = new Map<SystemName, Figures[]>(systems.map(({ name }) => [name, []]));
  for (let round = 0; round < rounds; round++) {
    // the order rotates, so that no system always follows the same one
    for (let i = 0; i < systems.length; i++) {
      const system = systems[(i + round) % systems.length]!;
      const measured = await measureUnlessFailed(load, system, order, failed);
      if (measured === null) figures.delete(system.name);
      else figures.get(system.name)!.push(measured);
    }
  }
  return figures;
}

/** @returns null for a peer that has failed, now or before. @throws Error where one of ours fails */
async function measureUnlessFailed(
  load: Load,
  system: System,
  order: Order,
  failed: Set<SystemName>,
): Promise<Figures | null> {
  if (failed.has(system.name)) return null;
  try {
    return await measure(load, system, order);
  } catch (error) {
    const { workload, connections } = order;
    const line = `${system.name}, ${workload.title}, ${connections} connections: ${(error as Error).message}`;
    if (!system.isPeer) throw new Error(line);
    failed.add(system.name);
    console.error(`${line}\n${system.name} is left out from here on`);
    return null;
  }
}

/** A paced stream is too slow to compile a system's code in the time of a measurement, so a burst does that before. */
async function warmUp(load: Load, systems: readonly System[], failed: Set<SystemName>): Promise<void> {
  const order = { workload: workloadNamed('stream'), connections: 16, seconds: 1 };
  for (const system of systems) {
    const fits = system.fits?.(order.workload, order.connections) ?? true;
    if (fits) await measureUnlessFailed(load, system, order, failed);
  }
}

function rowOf(
  { workload, connections, system }: { workload: Workload; connections: number; system: SystemName },
  rounds: readonly Figures[],
  upstream: readonly Figures[] | null,
): Row {
  const over = (of: (figures: Figures) => number | null) => overRounds(rounds.map(of));
  const added = (of: (figures: Figures) => number) =>
    upstream && overRounds(rounds.map((each, i) => of(each) - of(upstream[i]!)));
  const cpu = (per: (figures: Figures) => number) => over((each) => each.cpuMs && each.cpuMs / per(each));
  const events = workload.stream ? workload.tokens : null;
  return {
    ...{ workload: workload.name, connections, system, rounds },
    requestsPerSecond: over(({ requests, seconds }) => requests / seconds),
    eventsPerSecond: events === null ? null : over(({ tokens, seconds }) => tokens / seconds),
    p50Ms: over(({ totalMs }) => totalMs.p50),
    p99Ms: over(({ totalMs }) => totalMs.p99),
    addedP50Ms: added(({ totalMs }) => totalMs.p50),
    addedP99Ms: added(({ totalMs }) => totalMs.p99),
    addedFirstMs: added(({ firstMs }) => firstMs.p50),
    cpuMsPerRequest: cpu(({ answered }) => answered),
    cpuUsPerEvent: events === null ? null : cpu(({ answered }) => (answered * events) / 1_000),
    peakBytes: over((each) => each.peakBytes),
  };
}
