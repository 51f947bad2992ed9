/**
 * `npm run bench`: compares Tollgate with a bare Worker, other gateways and the upstream itself, on this machine and in one
 * run. Figures of one run may be compared with each other, those of two runs only as ratios.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { bundle } from '../../gpu-pool/local/edge.ts';
import { type Before, revisionIn } from './before.ts';
import { type CapacityLine, capacityOf } from './capacity.ts';
import { compare, type Row } from './comparison.ts';
import { type Cost, type CostKind, costOf, KINDS } from './costs.ts';
import { goals, type Measured } from './goals.ts';
import { type GrowthLine, growth } from './growth.ts';
import { type Load, startLoad } from './load.ts';
import { type MemoryLine, memoryOf } from './memory.ts';
import { isWanted, type Options, optionsOf, PARTS } from './options.ts';
import { plot } from './plot.ts';
import { profileTollgate } from './profile.ts';
import {
  capacityLine,
  comparisonTable,
  costTable,
  goalsTable,
  growthLine,
  growthShapes,
  memoryLine,
  startupTable,
  trialLine,
} from './report.ts';
import { type Startup, startup } from './startup.ts';
import { CACHE_DIR } from './systems/peers/folders.ts';
import { type StartOptions, startSystems } from './systems/start.ts';
import { SYSTEM_NAMES, type System, type SystemName } from './systems/system.ts';
import { TimeLimit } from './time-limit.ts';
import { startUpstream } from './upstream.ts';
import { WORKLOADS, type Workload, workloadNamed } from './workloads.ts';

/** A measurement that has begun ends by itself long before; if one hangs, the run ends after so many minutes more. */
const HANGS_MINUTES = 15;
/** Systems whose memory and capacity are measured, where they are among those chosen. */
const MEMORY_OF: readonly SystemName[] = ['bare', 'tollgate', 'tollgate-before', 'agent', 'agent-before'];
const CAPACITY_OF: readonly SystemName[] = ['bare', 'tollgate', 'tollgate-before', 'portkey'];

/** The parts with which a run measures. */
interface Run {
  readonly options: Options;
  readonly limit: TimeLimit;
  readonly load: Load;
  readonly start: StartOptions;
}

const options = optionsOf(process.argv);
const scratch = mkdtempSync(join(tmpdir(), 'tollgate-bench-'));
mkdirSync(options.out, { recursive: true });
const hanging = setTimeout(
  () => {
    console.error('The bench hangs, and ends here.');
    process.exit(1);
  },
  (options.minutes + HANGS_MINUTES) * 60_000,
).unref();
// A run that is ended early leaves nothing behind: other processes and folders end in handlers of `exit`.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));
process.once('exit', () => rmSync(scratch, { recursive: true, force: true }));
try {
  say('Bundling …');
  if (options.profile) await profile();
  else await bench();
} finally {
  clearTimeout(hanging);
}

async function bench(): Promise<void> {
  const before = options.before ? await revisionIn(join(scratch, 'before'), options.before) : null;
  const script = await bundle(scratch);
  const upstream = await startUpstream();
  const load = startLoad();
  try {
    const limit = new TimeLimit(options.minutes, (line) => console.error(line));
    const start = { dir: scratch, cacheDir: CACHE_DIR, script, upstream, before };
    report(await measureAll({ options, limit, load, start }));
  } finally {
    await Promise.all([load.stop(), upstream.stop()]);
  }
}

/** Measures the parts that are wanted, each printed as it is done. */
async function measureAll(run: Run): Promise<Measured> {
  const { options, start } = run;
  // Memory comes first, while the upstream's own processes are as small.
  const memory = isWanted(options, 'memory') ? await memories(run) : [];
  const rows = isWanted(options, 'comparison') ? await comparison(run) : [];
  const capacity = isWanted(options, 'capacity') ? await capacities(run) : [];
  const costs = isWanted(options, 'costs') ? await costsOf(run, rows) : [];
  const grown = isWanted(options, 'growth') ? await grow(run) : [];
  const wantsStart = isWanted(options, 'startup') && run.limit.allows('start-up');
  const started: Startup | null = wantsStart ? await startup(start.script, scratch) : null;
  if (started) say(startupTable(started));
  return { rows, memory, capacity, costs, growth: grown, startup: started };
}

function report(measured: Measured): void {
  const reached = goals(measured).filter((goal) => goal.measured !== null || PARTS.every(isChosen));
  if (reached.length > 0) say(goalsTable(reached));
  const machine = {
    cpu: cpus()[0]?.model,
    cores: cpus().length,
    platform: process.platform,
    load: loadavg(),
  };
  const figures = { at: new Date().toISOString(), machine, options, ...measured, goals: reached };
  save('bench.json', `${JSON.stringify(figures, null, 2)}\n`);
  if (measured.rows.length > 0) save('bench.svg', plot(measured.rows));
}

function isChosen(part: (typeof PARTS)[number]): boolean {
  return isWanted(options, part);
}

async function comparison({ options, limit, load, start }: Run): Promise<Row[]> {
  const { connections = null, rounds, seconds } = options;
  const workloads = (options.workloads ?? WORKLOADS).map((each) => paced(each, options.pace));
  const names = namesOf(options, start.before);
  const points = workloads.reduce((sum, each) => sum + (connections ?? each.connections).length, 0);
  say(
    `Starting ${names.join(', ')}; ${points * rounds * names.length} measurements of ${seconds} s and more`,
  );
  const systems = await startSystems(names, start, say);
  try {
    const plan = { workloads, connections, rounds, seconds, limit };
    return await compare(load, systems, plan, (rows) => say(comparisonTable(rows)));
  } finally {
    await Promise.all(systems.map((system) => system.stop()));
  }
}

function paced(workload: Workload, paceMs: number | undefined): Workload {
  return workload.paceMs === null ? workload : { ...workload, paceMs: paceMs ?? workload.paceMs };
}

function namesOf(options: Options, before: Before | null, among: readonly SystemName[] = SYSTEM_NAMES) {
  const chosen = (options.systems ?? SYSTEM_NAMES).filter((name) => among.includes(name));
  return chosen.filter((name) => before !== null || !name.endsWith('-before'));
}

async function memories(run: Run): Promise<MemoryLine[]> {
  say('\nMemory of an open stream');
  const measured = await eachFresh(run, { part: 'memory', among: MEMORY_OF }, (system) =>
    memoryOf(run.load, system),
  );
  const lines = measured.filter((line) => line !== null);
  for (const line of lines) say(memoryLine(line));
  return lines;
}

async function capacities(run: Run): Promise<CapacityLine[]> {
  say('\nStreams of 40 tokens/s that a system carries');
  const lines = await eachFresh(run, { part: 'capacity', among: CAPACITY_OF }, (system) =>
    capacityOf(run.load, system, (trial) => say(trialLine(system.name, trial))),
  );
  for (const line of lines) say(capacityLine(line));
  return lines;
}

/** Measures systems one after the other, each started for it and stopped after it. */
async function eachFresh<Line>(
  { options, limit, start }: Run,
  { part, among }: { part: string; among: readonly SystemName[] },
  measured: (system: System) => Promise<Line>,
): Promise<Line[]> {
  const lines: Line[] = [];
  const dir = join(scratch, part);
  mkdirSync(dir);
  for (const name of namesOf(options, start.before, among)) {
    if (!limit.allows(`${part}: ${name}`)) continue;
    const systems = await startSystems([name], { ...start, dir }, say);
    try {
      for (const system of systems) lines.push(await measured(system));
    } finally {
      await Promise.all(systems.map((system) => system.stop()));
    }
  }
  return lines;
}

async function costsOf({ limit, start }: Run, rows: readonly Row[]): Promise<Cost[]> {
  const costs: Cost[] = [];
  for (const kind of Object.keys(KINDS) as CostKind[]) {
    if (!limit.allows(`costs: ${KINDS[kind].title}`)) continue;
    const cost = await costOf(kind, { script: start.script, dir: join(scratch, 'costs') }, rows);
    costs.push(cost);
    say(costTable(cost));
  }
  return costs;
}

async function grow({ options, limit, load, start }: Run): Promise<GrowthLine[]> {
  say('\nGrowth, small unstreamed requests; 200-event streams where those are what grows');
  const { script, upstream } = start;
  const dir = join(scratch, 'growth');
  const order = { script, dir, load, upstream, all: options.growth === true, limit };
  const lines = await growth(order, (line) => say(growthLine(line)));
  say(growthShapes(lines));
  return lines;
}

async function profile(): Promise<void> {
  const workload = options.workloads?.[0] ?? workloadNamed('small');
  const { seconds, connections = workload.connections } = options;
  const file = join(options.out, `${workload.name}.cpuprofile`);
  await profileTollgate({ dir: scratch, file, workload, seconds, connections: connections.at(-1)! });
}

function save(name: string, text: string): void {
  const file = join(options.out, name);
  writeFileSync(file, text);
  say(`${name === 'bench.json' ? '\n' : ''}${file}`);
}

function say(text: string): void {
  console.log(text);
}
