/**
 * Finds how many streams of 40 tokens a second a system carries. A number is carried when 99 of 100 answers take at most
 * LAG_MS longer than one alone does: beyond that events wait in the system, and wait longer from answer to answer.
 */
import type { Load } from './load.ts';
import { type Figures, measure } from './measure.ts';
import type { System, SystemName } from './systems/system.ts';
import { answerMs, STEADY } from './workloads.ts';

export interface CapacityLine {
  readonly system: SystemName;
  /** The most streams that were carried; 0: fewer than FIRST */
  readonly streams: number;
  /** The fewest that were not; null: all numbers that were tried were carried */
  readonly failedAt: number | null;
  readonly tried: readonly Trial[];
}

export interface Trial {
  readonly streams: number;
  readonly lagMs: number;
  /** Cores that the system used while all streams were open, about; null: not known */
  readonly cores: number | null;
  readonly isCarried: boolean;
}

/** Ten tokens of such a stream: a reader does not notice less. */
export const LAG_MS = 250;
const FIRST = 50;
/** More connections than this would measure the bench's own processes. */
const MOST = 1_600;
/** Halvings of the gap between what was carried and what was not: the figure is exact to a tenth. */
const HALVINGS = 3;

export async function capacityOf(
  load: Load,
  system: System,
  onTrial: (trial: Trial) => void,
): Promise<CapacityLine> {
  const tried: Trial[] = [];
  const aloneMs = (await answers(load, system, 1)).totalMs.p50;
  const { carried, failedAt } = await search(async (streams) => {
    const trial = trialOf(streams, await answers(load, system, streams), aloneMs);
    tried.push(trial);
    onTrial(trial);
    return trial.isCarried;
  });
  return { system: system.name, streams: carried, failedAt, tried };
}

/** Doubles the number until it is not carried, then halves the gap on the scale of ratios. */
export async function search(
  isCarried: (streams: number) => Promise<boolean>,
): Promise<{ carried: number; failedAt: number | null }> {
  let carried = 0;
  let failedAt: number | null = null;
  for (let streams = FIRST; streams <= MOST && failedAt === null; streams *= 2) {
    if (await isCarried(streams)) carried = streams;
    else failedAt = streams;
  }
  for (let i = 0; i < HALVINGS && carried > 0 && failedAt !== null; i++) {
    const middle = Math.round(Math.sqrt(carried * failedAt));
    if (await isCarried(middle)) carried = middle;
    else failedAt = middle;
  }
  return { carried, failedAt };
}

/** Each connection has one answer while the others begin, and a second one, which is measured, while all are open. */
function answers(load: Load, system: System, streams: number): Promise<Figures> {
  const seconds = answerMs(STEADY) / 1_000;
  return measure(load, system, { workload: STEADY, connections: streams, warmUpSeconds: seconds, seconds });
}

function trialOf(streams: number, { cpuMs, answered, totalMs }: Figures, aloneMs: number): Trial {
  const lagMs = totalMs.p99 - aloneMs;
  // CPU time of an answer over the time of an answer, times the streams
  const cores = cpuMs === null ? null : (cpuMs / answered / totalMs.p50) * streams;
  return { streams, lagMs, cores, isCarried: lagMs <= LAG_MS };
}
