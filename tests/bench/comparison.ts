/** Compares systems: each round measures all of them in turn, so that disturbances of this machine affect all alike. */
import type { Load } from './load.ts';
import { type Figures, measure } from './measure.ts';
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
  for (const workload of plan.workloads) {
    if (workload.paceMs !== null) await warmUp(load, systems);
    for (const connections of plan.connections ?? workload.connections) {
      if (!plan.limit.allows(`${workload.title}, ${connections} connections`)) continue;
      const order = {
        workload,
        connections,
        seconds: plan.seconds * workload.durationFactor,
        warmUpSeconds: WARM_UP_SECONDS,
      };
      const able = systems.filter(({ fits }) => fits?.(workload, connections) ?? true);
      const figures = new Map<SystemName, Figures[]>(able.map(({ name }) => [name, []]));
      for (let round = 0; round < plan.rounds; round++) {
        // the order rotates, so that no system always follows the same one
        for (let i = 0; i < able.length; i++) {
          const system = able[(i + round) % able.length]!;
          const measured = await measure(load, system, order).catch((error: Error) => {
            throw new Error(
              `${system.name}, ${workload.title}, ${connections} connections: ${error.message}`,
            );
          });
          figures.get(system.name)!.push(measured);
        }
      }
      const upstream = figures.get('upstream') ?? null;
      const rows = able.map(({ name }) =>
        rowOf({ workload, connections, system: name }, figures.get(name)!, upstream),
      );
      all.push(...rows);
      onRows(rows);
    }
  }
  return all;
}

/** A paced stream is too slow to compile a system's code in the time of a measurement, so a burst does that before. */
async function warmUp(load: Load, systems: readonly System[]): Promise<void> {
  const order = { workload: workloadNamed('stream'), connections: 16, seconds: 1 };
  for (const system of systems) {
    if (system.fits?.(order.workload, order.connections) ?? true) await measure(load, system, order);
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
