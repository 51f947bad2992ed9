/** The pinned packages of every client, in a folder outside the project. */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const here = (file: string) => join(import.meta.dirname, file);

/** Each virtual environment with its requirements. */
const ENVIRONMENTS = { venv: 'requirements.txt', 'venv-aider': 'requirements-aider.txt' } as const;

/** Installs what is missing. @returns the folder, named after the pins, so that other versions have another one */
export async function installClients(log: (line: string) => void): Promise<string> {
  const pins = ['packages.json', ...Object.values(ENVIRONMENTS)].map((file) =>
    readFileSync(here(file), 'utf8'),
  );
  const digest = createHash('sha256').update(pins.join('\\0')).digest('hex').slice(0, 12);
  const cache = process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache');
  const folder = process.env.TOLLGATE_CLIENTS ?? join(cache, `tollgate-clients-${digest}`);
  mkdirSync(folder, { recursive: true });
  await once(join(folder, 'npm.done'), async () => {
    log('Installing the npm packages');
    copyFileSync(here('packages.json'), join(folder, 'package.json'));
    await run('npm', ['install', '--no-audit', '--no-fund', '--no-package-lock'], { cwd: folder });
  });
  for (const [name, requirements] of Object.entries(ENVIRONMENTS))
    await once(join(folder, `${name}.done`), async () => {
      log(`Installing the Python packages of ${requirements}`);
      await run('python3', ['-m', 'venv', '--clear', join(folder, name)]);
      await run(join(folder, name, 'bin/pip'), ['install', '--quiet', '--requirement', here(requirements)]);
    });
  return folder;
}

async function once(mark: string, work: () => Promise<void>): Promise<void> {
  if (existsSync(mark)) return;
  await work();
  writeFileSync(mark, '');
}

/** The pinned version of a package of npm or PyPI. */
export function pinnedVersion(name: string): string {
  const { dependencies } = JSON.parse(readFileSync(here('packages.json'), 'utf8')) as {
    dependencies: Record<string, string>;
  };
  const python = Object.values(ENVIRONMENTS)
    .map((file) => readFileSync(here(file), 'utf8'))
    .join('\n');
  const line = python.split('\n').find((each) => each.replace(/\[.*\]/, '').startsWith(`${name}==`));
  const version = dependencies[name] ?? line?.split('==')[1];
  if (version === undefined) throw new Error(`${name} is not pinned.`);
  return version;
}
