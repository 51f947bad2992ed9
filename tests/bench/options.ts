/** The command line of the bench. */
import { Command, InvalidArgumentError } from 'commander';
import { SYSTEM_NAMES, type SystemName } from './systems/system.ts';
import { WORKLOADS, type Workload, workloadNamed } from './workloads.ts';

export const PARTS = ['memory', 'comparison', 'capacity', 'costs', 'growth', 'startup'] as const;
export type Part = (typeof PARTS)[number];

export interface Options {
  readonly rounds: number;
  readonly seconds: number;
  readonly minutes: number;
  /** absent: those of each workload */
  readonly connections?: readonly number[];
  /** absent: all */
  readonly workloads?: readonly Workload[];
  /** absent: all */
  readonly systems?: readonly SystemName[];
  /** absent: all, or the comparison alone where workloads or systems are named */
  readonly parts?: readonly Part[];
  /** absent: that of the workload */
  readonly pace?: number;
  /** absent: no earlier revision is measured */
  readonly before?: string;
  readonly growth?: boolean;
  readonly profile?: boolean;
  readonly out: string;
}

const HELP = `
Parts
  memory      of an open stream, of fresh systems, with a thousand open and with none
  comparison  workloads at numbers of connections: requests a second, latency, CPU time
  capacity    streams of 40 tokens a second that a system carries
  costs       calls and rows of a request, and a million of them at list price: a busy key, keys used seldom, long answers
  growth      with nodes, keys, past requests, streams at once
  startup     of an isolate, and the bundle's size
Without --parts everything is measured, which takes about an hour; with --systems or --workloads the comparison alone.
All load stays on this machine. Other gateways are installed in ~/.cache/tollgate-bench where it has npm, Python or Go.

  npm run bench -- --systems bare,tollgate --workloads paced
  npm run bench -- --systems bare,tollgate,tollgate-before --before main~20 --workloads small,stream --rounds 5
  npm run bench -- --parts costs,memory --systems tollgate,agent`;

export function optionsOf(argv: readonly string[]): Options {
  return new Command('bench')
    .description('Tollgate beside a bare Worker, other gateways and the upstream itself, all in one run')
    .option('--rounds <n>', 'rounds of every measurement of the comparison', positive, 3)
    .option('--seconds <s>', 'of one measurement', positive, 2)
    .option('--minutes <m>', 'after which nothing more is begun', positive, 90)
    .option('--systems <list>', `of ${SYSTEM_NAMES.join(', ')}`, (text) => named(text, SYSTEM_NAMES))
    .option('--workloads <list>', `of ${WORKLOADS.map(({ name }) => name).join(', ')}`, workloadsNamed)
    .option('--parts <list>', `of ${PARTS.join(', ')}`, (text) => named(text, PARTS))
    .option('--connections <list>', 'connections at once, instead of those of each workload', numbers)
    .option('--pace <ms>', 'between two events of a paced stream, instead of 20', positive)
    .option('--before <revision>', 'measures this revision’s edge and agent in the same run')
    .option('--growth', 'every size, also those without a goal')
    .option('--profile', 'only a CPU profile of Tollgate, under the first workload named')
    .option('--out <folder>', 'for figures and plot', '.tollgate/bench')
    .addHelpText('after', HELP)
    .parse(argv)
    .opts<Options>();
}

export function isWanted({ parts, systems, workloads }: Options, part: Part): boolean {
  return parts ? parts.includes(part) : part === 'comparison' || !(systems || workloads);
}

function positive(text: string): number {
  const value = Number(text);
  if (!(value > 0)) throw new InvalidArgumentError('must be a number above zero');
  return value;
}

function numbers(text: string): number[] {
  return text.split(',').map(positive);
}

/** @returns the names of a list, in the order of `known` */
function named<Name extends string>(text: string, known: readonly Name[]): Name[] {
  const names = text.split(',');
  const unknown = names.find((name) => !known.includes(name as Name));
  if (unknown) throw new InvalidArgumentError(`there is no ${unknown}`);
  return known.filter((name) => names.includes(name));
}

function workloadsNamed(text: string): Workload[] {
  const names = WORKLOADS.map(({ name }) => name);
  return named(text, names).map(workloadNamed);
}
