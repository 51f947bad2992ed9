/** Schemathesis, pinned with everything that it needs, in a virtual environment beside the installed packages. */
import { execFile, spawn } from 'node:child_process';
import { createWriteStream, existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const here = fileURLToPath(new URL('.', import.meta.url));
const REQUIREMENTS = join(here, 'requirements.txt');
/** Pythons that Schemathesis supports, newest first. */
const PYTHONS = ['python3.14', 'python3.13', 'python3.12', 'python3.11', 'python3.10', 'python3'];
const IS_SUPPORTED = 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))';

const run = promisify(execFile);

/** Installs it where this version is not installed yet. @returns the path of its command @throws Error that says what to install */
export async function installSchemathesis(): Promise<string> {
  const version = /^schemathesis==(.+)$/m.exec(readFileSync(REQUIREMENTS, 'utf8'))![1]!;
  const folder = join(here, '../../node_modules/.cache', `schemathesis-${version}`);
  const command = join(folder, 'bin', 'schemathesis');
  if (existsSync(command)) return command;
  const python = await findPython();
  if (python === null)
    throw new Error(
      'Python 3.10 or newer is needed, with its venv module (Debian: apt install python3-venv).',
    );
  await run(python, ['-m', 'venv', '--clear', folder]);
  await run(join(folder, 'bin', 'pip'), ['install', '--quiet', '--requirement', REQUIREMENTS]);
  return command;
}

async function findPython(): Promise<string | null> {
  for (const python of PYTHONS) {
    const isSupported = await run(python, ['-c', IS_SUPPORTED]).then(
      () => true,
      () => false,
    );
    if (isSupported) return python;
  }
  return null;
}

export interface FuzzOptions {
  readonly command: string;
  readonly origin: string;
  /** At most, of each operation. */
  readonly casesPerOperation: number;
  readonly seed: number;
  readonly minutes: number;
  /** Files of the callers and of the counted answers. */
  readonly callersFile: string;
  readonly answersFile: string;
  readonly logFile: string;
}

/** Runs all phases against the edge. @returns the exit code: 0, when no check failed */
export function runSchemathesis(options: FuzzOptions): Promise<number | null> {
  const log = createWriteStream(options.logFile);
  const args = [
    ...['--config-file', join(here, 'schemathesis.toml'), 'run', `${options.origin}/openapi.json`],
    ...['--max-examples', String(options.casesPerOperation), '--seed', String(options.seed)],
    ...['--phases', 'examples,coverage,fuzzing,stateful', '--workers', '2', '--no-color'],
    ...['--max-time', String(60 * options.minutes)],
  ];
  const child = spawn(options.command, args, {
    // it leaves folders of its own where it runs
    cwd: dirname(options.logFile),
    env: {
      ...process.env,
      PYTHONPATH: here,
      PYTHONDONTWRITEBYTECODE: '1',
      SCHEMATHESIS_HOOKS: 'hooks',
      TOLLGATE_FUZZ_CALLERS: options.callersFile,
      TOLLGATE_FUZZ_ANSWERS: options.answersFile,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  child.stdout.pipe(log, { end: false });
  child.stderr.pipe(log, { end: false });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', resolve);
  });
}
