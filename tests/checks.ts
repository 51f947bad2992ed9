/** The project's checks, and how they run: in steps, each of lanes that run side by side. */
import { type ChildProcess, spawn } from 'node:child_process';
import { setPriority } from 'node:os';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';

export interface Check {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  /** Takes only processor time that the other lanes leave idle. */
  readonly inIdleTime?: boolean;
}

export const LINT: Check = check('format and lint', 'biome', 'ci', '--error-on-warnings', '.');

export const TYPES: readonly Check[] = [
  check('types: Worker', 'tsc', '-p', 'worker'),
  check('types: playground', 'tsc', '-p', 'worker/portal/playground/client'),
  check('types: GPU pool', 'tsc', '-p', 'gpu-pool'),
  check('types: tests', 'tsc', '-p', 'tests'),
  check('types: tests in workerd', 'tsc', '-p', 'tests/worker'),
  check('types: tests of scale', 'tsc', '-p', 'tests/scale'),
];

export const ASSETS: Check = check('stylesheet and other assets', 'npm', 'run', '--silent', 'assets');

/** Tests of the named projects of vitest.config.ts. */
export function tests(name: string, projects: readonly string[], files: readonly string[] = []): Check {
  const chosen = projects.flatMap((project) => ['--project', project]);
  return check(name, 'vitest', 'run', ...chosen, ...files);
}

/** A million simulated requests over every scenario, from the same seeds each time. */
export const LAWS: Check = {
  name: 'laws of money, a million simulated requests',
  command: 'npm',
  args: ['run', '--silent', 'laws', '--', '--scenario', 'all', '--total', '1000000'],
};

export function inIdleTime(each: Check): Check {
  return { ...each, inIdleTime: true };
}

function check(name: string, command: string, ...args: readonly string[]): Check {
  return { name, command, args };
}

/** Checks that run one after the other. */
export type Lane = readonly Check[];

/** Runs steps one after the other and the lanes of a step side by side; ends the process with 0 when every check passed. */
export async function runSteps(steps: readonly (readonly Lane[])[]): Promise<never> {
  const startedMs = Date.now();
  for (const lanes of steps) {
    const failed = await Promise.all(lanes.map((lane) => firstToFail(lane, lanes.length > 1)));
    const named = failed.filter((each) => each !== null);
    for (const { name, command, args } of named)
      console.error(`\n✗ ${name} failed: ${command} ${args.join(' ')}`);
    if (named.length > 0) process.exit(1);
  }
  console.log(`\nAll ${steps.flat(2).length} checks passed in ${seconds(startedMs)} s.`);
  process.exit(0);
}

async function firstToFail(lane: Lane, hasCompany: boolean): Promise<Check | null> {
  for (const each of lane) if (!(await runCheck(each, hasCompany))) return each;
  return null;
}

/** @param hasCompany other checks write to the same terminal: each line then begins with the check's name */
async function runCheck({ name, command, args, inIdleTime }: Check, hasCompany: boolean): Promise<boolean> {
  const startedMs = Date.now();
  console.log(`▸ ${name}`);
  const child = spawn(command, args, { stdio: hasCompany ? ['ignore', 'pipe', 'pipe'] : 'inherit' });
  if (inIdleTime && child.pid !== undefined) setPriority(child.pid, LOWEST_PRIORITY);
  if (hasCompany) for (const stream of [child.stdout!, child.stderr!]) prefixLines(stream, name);
  const passed = (await exitCode(child)) === 0;
  if (passed) console.log(`✓ ${name} (${seconds(startedMs)} s)`);
  return passed;
}

/** The lowest priority that a process can have. */
const LOWEST_PRIORITY = 19;

function prefixLines(stream: Readable, name: string): void {
  createInterface({ input: stream }).on('line', (line) => console.log(`[${name}] ${line}`));
}

function exitCode(child: ChildProcess): Promise<number | null> {
  return new Promise((resolve) => {
    child.on('error', () => resolve(null));
    child.on('close', resolve);
  });
}

function seconds(sinceMs: number): string {
  return ((Date.now() - sinceMs) / 1_000).toFixed(1);
}
