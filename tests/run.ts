/** `npm test`: every check in order, each named with its time; the first that fails ends the run. */
import { spawn } from 'node:child_process';

/** Every scenario, from the same seeds each time. */
const EVERYTHING = ['--scenario', 'all', '--total', '1000000'];

const CHECKS: readonly (readonly [what: string, command: string, ...args: string[]])[] = [
  ['format and lint', 'biome', 'ci', '--error-on-warnings', '.'],
  ['types: Worker', 'tsc', '-p', 'worker'],
  ['types: playground', 'tsc', '-p', 'worker/portal/playground/client'],
  ['types: GPU pool', 'tsc', '-p', 'gpu-pool'],
  ['types: tests', 'tsc', '-p', 'tests'],
  ['types: tests in workerd', 'tsc', '-p', 'tests/worker'],
  ['types: tests of scale', 'tsc', '-p', 'tests/scale'],

  ['stylesheet and other assets', 'npm', 'run', '--silent', 'assets'],
  ['tests', 'vitest', 'run'],
  ['laws of money, a million simulated requests', 'npm', 'run', '--silent', 'laws', '--', ...EVERYTHING],
];

const startedMs = Date.now();
for (const [what, command, ...args] of CHECKS) {
  const checkStartedMs = Date.now();
  console.log(`\n▸ ${what}`);
  const code = await run(command, args);
  if (code !== 0) {
    console.error(`\n✗ ${what} failed: ${command} ${args.join(' ')}`);
    process.exit(1);
  }
  console.log(`✓ ${what} (${seconds(checkStartedMs)} s)`);
}
console.log(`\nAll ${CHECKS.length} checks passed in ${seconds(startedMs)} s.`);

function run(command: string, args: readonly string[]): Promise<number | null> {
  const child = spawn(command, args, { stdio: 'inherit' });
  return new Promise((resolve) => {
    child.on('error', () => resolve(null));
    child.on('close', resolve);
  });
}

function seconds(sinceMs: number): string {
  return ((Date.now() - sinceMs) / 1000).toFixed(1);
}
