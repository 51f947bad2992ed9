/** Installs real SGLang engines from pinned packages, and makes weights for them. What exists already is kept. */
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs, promisify } from 'node:util';
import {
  ARCHITECTURES,
  DEFAULT_FOLDER,
  HERE,
  homeOf,
  keysOf,
  MODEL_PATH,
  pythonOf,
  RELEASES,
  type Release,
} from './folder.ts';

const USAGE = `Usage: node tests/engine/install.ts [--folder FOLDER]
Installs SGLang ${RELEASES.join(' and ')} from pinned packages, each into an environment of its own (5 GB each, some minutes),
and makes two models of 20 MB: a dense one and one with latent attention. It needs Python 3.11 on x86-64 Linux.
FOLDER is node_modules/.cache/engine unless given. docs/engine-kit.md says what such an engine proves.`;

const run = promisify(execFile);

const { values } = parseArgs({
  options: {
    folder: { type: 'string', default: DEFAULT_FOLDER },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) {
  console.log(USAGE);
  process.exit(0);
}
const { folder } = values;
mkdirSync(folder, { recursive: true });
for (const release of RELEASES) await installRelease(release);
for (const architecture of ARCHITECTURES) {
  const weights = join(homeOf(folder, architecture), MODEL_PATH);
  if (existsSync(join(weights, 'config.json'))) continue;
  console.log(`Making weights: ${architecture}`);
  await run(pythonOf(folder, RELEASES[0]), [join(HERE, 'weights.py'), weights, architecture]);
}
if (!existsSync(keysOf(folder))) {
  const key = () => randomBytes(16).toString('hex');
  writeFileSync(keysOf(folder), `api-key: ${key()}\nadmin-api-key: ${key()}\n`, { mode: 0o600 });
}
console.log(`Installed in ${folder}`);

/**
 * The lists name every package with its version, dependencies included, so nothing is resolved: SGLang itself demands
 * GPU packages that a CPU never loads.
 */
async function installRelease(release: Release): Promise<void> {
  const python = pythonOf(folder, release);
  const isInstalled = await run(python, [
    '-c',
    `import importlib.metadata as m; assert m.version("sglang") == "${release}"`,
  ])
    .then(() => true)
    .catch(() => false);
  if (isInstalled) return;
  console.log(`Installing SGLang ${release}`);
  await run('python3.11', ['-m', 'venv', '--clear', join(folder, release)]);
  const requirements = join(HERE, 'requirements', `${release}.txt`);
  const pip = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--no-deps'];
  await run(python, [...pip, '--requirement', requirements], { maxBuffer: 64 * 1_024 * 1_024 });
}
