/**
 * `npm run bench`: compares Tollgate with a bare Worker, Portkey's gateway and the upstream itself, on this machine and in
 * one run. Figures of one run may be compared with each other, those of two runs only as ratios.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import { bundle } from '../../gpu-pool/local/edge.ts';
import { revisionIn } from './before.ts';
import { compare, type Row } from './comparison.ts';
import { type Counts, countRequests } from './counting.ts';
import { goals } from './goals.ts';
import { type GrowthLine, growth } from './growth.ts';
import { startLoad } from './load.ts';
import { plot } from './plot.ts';
import { bill } from './prices.ts';
import { profileTollgate } from './profile.ts';
import {
  comparisonTable,
  countsTable,
  goalsTable,
  growthLine,
  growthShapes,
  startupTable,
} from './report.ts';
import { startup } from './startup.ts';
import { startSystems } from './systems/start.ts';
import { SYSTEM_NAMES, type SystemName } from './systems/system.ts';
import { startUpstream } from './upstream.ts';
import { WORKLOADS, type Workload, workloadNamed } from './workloads.ts';

/** So many that the higher cost of a burst's first and last requests does not show. */
const COUNTED_REQUESTS = 10_000;
const COUNTED_CONNECTIONS = 64;

interface Options {
  readonly rounds: number;
  readonly seconds: number;
  /** absent: those of each workload */
  readonly connections?: readonly number[];
  /** absent: all */
  readonly workloads?: readonly Workload[];
  /** absent: all */
  readonly systems?: readonly SystemName[];
  /** absent: all, or the comparison alone where workloads or systems are named */
  readonly parts?: readonly Part[];
  readonly pace?: number;
  /** absent: no earlier revision is measured */
  readonly before?: string;
  /** true: every size; false: none; absent: the quick ones */
  readonly growth?: boolean;
  readonly profile?: boolean;
  readonly out: string;
}

const PARTS = ['comparison', 'startup', 'counts', 'growth'] as const;
type Part = (typeof PARTS)[number];

const HELP = `
Without --parts everything is measured; with --systems or --workloads only the comparison.

  npm run bench -- --systems bare,tollgate --workloads paced
  npm run bench -- --systems bare,tollgate,portkey --workloads small,stream --connections 16 --rounds 5
  npm run bench -- --parts counts`;

const options = new Command('bench')
  .description('Tollgate beside a bare Worker, Portkey and the upstream itself')
  .option('--rounds <n>', 'rounds of every measurement', positive, 3)
  .option('--seconds <s>', 'of one measurement', positive, 2)
  .option('--systems <list>', `of ${SYSTEM_NAMES.join(', ')}`, (text) => named(text, SYSTEM_NAMES))
  .option('--workloads <list>', `of ${WORKLOADS.map(({ name }) => name).join(', ')}`, workloadsNamed)
  .option('--parts <list>', `of ${PARTS.join(', ')}`, (text) => named(text, PARTS))
  .option('--connections <list>', 'connections at once, instead of those of each workload', (text) =>
    text.split(',').map(positive),
  )
  .option('--pace <ms>', 'between two events of a paced stream, instead of 20', positive)
  .option('--growth', 'every size, also those that take long')
  .option('--no-growth', 'no sizes')
  .option('--before <revision>', 'measures this revision’s edge and agent in the same run')
  .option('--profile', 'only a CPU profile of Tollgate, under the first workload named')
  .option('--out <folder>', 'for figures and plot', '.tollgate/bench')
  .addHelpText('after', HELP)
  .parse()
  .opts<Options>();

const scratch = mkdtempSync(join(tmpdir(), 'tollgate-bench-'));
mkdirSync(options.out, { recursive: true });
try {
  say('Bundling …');
  if (options.profile) await profile();
  else await bench(await bundle(scratch));
} finally {
  rmSync(scratch, { recursive: true, force: true });
}

async function bench(script: string): Promise<void> {
  const upstream = await startUpstream();
  const load = startLoad();
  try {
    const rows = isWanted('comparison') ? await comparison(script, { upstream, load }) : [];
    const started = isWanted('startup') ? await startup(script, scratch) : null;
    if (started) console.log(startupTable(started));

    const counts = isWanted('counts') ? await count(script) : null;
    const lines = counts ? bill(counts, cpuMsOf(rows)) : [];
    if (counts) console.log(countsTable(counts, lines));

    const grown =
      isWanted('growth') && options.growth !== false ? await grow(script, { upstream, load }) : [];
    const reached = goals({ rows, counts, bill: lines, startup: started });
    if (PARTS.every(isWanted)) console.log(goalsTable(reached));
    const machine = { cpu: cpus()[0]?.model, cores: cpus().length, platform: process.platform };
    const all = { at: new Date().toISOString(), machine, options, rows, startup: started };
    const figures = { ...all, counts, bill: lines, growth: grown, goals: reached };
    save('bench.json', `${JSON.stringify(figures, null, 2)}\n`);
    save('bench.svg', plot(rows));
  } finally {
    await Promise.all([load.stop(), upstream.stop()]);
  }
}

type Processes = Pick<Parameters<typeof growth>[0], 'upstream' | 'load'>;

async function comparison(script: string, { upstream, load }: Processes): Promise<Row[]> {
  const { connections = null, rounds, seconds } = options;
  const before = options.before ? await revisionIn(join(scratch, 'before'), options.before) : null;
  const names = (options.systems ?? SYSTEM_NAMES).filter((name) => before || !name.endsWith('-before'));
  const workloads = (options.workloads ?? WORKLOADS).map((each) =>
    each.paceMs === null ? each : { ...each, paceMs: options.pace ?? each.paceMs },
  );
  const points = workloads.reduce((sum, each) => sum + (connections ?? each.connections).length, 0);
  say(
    `Starting ${names.join(', ')}; ${points * rounds * names.length} measurements of ${seconds} s and more`,
  );
  const cacheDir = join(options.out, 'portkey');
  const systems = await startSystems(names, { dir: scratch, cacheDir, script, upstream, before });
  try {
    const plan = { workloads, connections, rounds, seconds };
    return await compare(load, systems, plan, (rows) => console.log(comparisonTable(rows)));
  } finally {
    await Promise.all(systems.map((system) => system.stop()));
  }
}

async function count(script: string): Promise<Counts> {
  say(`\nCounting ${COUNTED_REQUESTS} requests at ${COUNTED_CONNECTIONS} connections …`);
  const dir = join(scratch, 'counting');
  return countRequests({ script, dir, requests: COUNTED_REQUESTS, connections: COUNTED_CONNECTIONS });
}

async function grow(script: string, processes: Processes): Promise<GrowthLine[]> {
  say('\nGrowth, small unstreamed requests; 200-event streams where those are what grows');
  const order = { ...processes, script, dir: join(scratch, 'growth'), all: options.growth === true };
  const lines = await growth(order, (line) => console.log(growthLine(line)));
  console.log(growthShapes(lines));
  return lines;
}

async function profile(): Promise<void> {
  const workload = options.workloads?.[0] ?? workloadNamed('small');
  const { seconds, connections = workload.connections } = options;
  const file = join(options.out, `${workload.name}.cpuprofile`);
  await profileTollgate({ dir: scratch, file, workload, seconds, connections: connections.at(-1)! });
}

/** CPU time per small unstreamed request, measured at the number of connections nearest to the counted one. */
function cpuMsOf(rows: readonly Row[]): number | null {
  const small = rows.filter(({ system, workload }) => system === 'tollgate' && workload === 'small');
  const [nearest] = small.toSorted(
    (a, b) => Math.abs(a.connections - COUNTED_CONNECTIONS) - Math.abs(b.connections - COUNTED_CONNECTIONS),
  );
  return nearest?.cpuMsPerRequest?.median ?? null;
}

function save(name: string, text: string): void {
  const file = join(options.out, name);
  writeFileSync(file, text);
  console.log(`${name === 'bench.json' ? '\n' : ''}${file}`);
}

function say(text: string): void {
  console.log(text);
}

function positive(text: string): number {
  const value = Number(text);
  if (!(value > 0)) throw new InvalidArgumentError('must be a number above zero');
  return value;
}

function isWanted(part: Part): boolean {
  const { parts, systems, workloads } = options;
  return parts ? parts.includes(part) : part === 'comparison' || !(systems || workloads);
}

/** @returns the names of a list, in the order of `known` */
function named<Name extends string>(text: string, known: readonly Name[]): Name[] {
  const names = text.split(',');
  const unknown = names.find((name) => !known.includes(name as Name));
  if (unknown) throw new InvalidArgumentError(`there is no ${unknown}`);
  return known.filter((name) => names.includes(name));
}

function workloadsNamed(text: string): Workload[] {
  return named(
    text,
    WORKLOADS.map(({ name }) => name),
  ).map(workloadNamed);
}
