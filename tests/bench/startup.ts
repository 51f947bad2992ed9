/**
 * How large the Worker is, and how long workerd takes to evaluate it: a start beside that of a bare Worker with the same
 * modules, which are read there, too, and not run. Reading its files is a local workerd's work and no part of what the
 * platform calls start-up; what it takes is told apart.
 */
import { spawn } from 'node:child_process';
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, join, relative } from 'node:path';
import { gzipSync } from 'node:zlib';
import { modulesOf } from '../../gpu-pool/local/modules.ts';
import { median } from './statistics.ts';
import { bareScript } from './systems/bare.ts';

export interface Startup {
  readonly gzipBytes: number;
  /** to compile and evaluate it: medians' difference; below zero it is lost in the noise */
  readonly startMs: number;
  /** to read its files */
  readonly readMs: number;
  readonly startsMs: readonly number[];
  /** of a bare Worker beside the same files, and of one alone */
  readonly readStartsMs: readonly number[];
  readonly bareStartsMs: readonly number[];
}

/** the path of its program */
const { default: workerd } = createRequire(import.meta.url)('workerd') as { default: string };

const STARTS = 9;
const READY_WITHIN_MS = 20_000;

/** @param script the production bundle. @param dir for configurations */
export async function startup(script: string, dir: string): Promise<Startup> {
  const copy = join(dir, 'start');
  cpSync(dirname(script), copy, { recursive: true });
  const copied = modulesOf(join(copy, basename(script)));
  const configurations = {
    own: configured(copied),
    read: configured([bareScript(copy), ...copied]),
    bare: configured([bareScript(dir)]),
  };
  const startsMs: number[] = [];
  const readStartsMs: number[] = [];
  const bareStartsMs: number[] = [];
  for (let i = 0; i < STARTS; i++) {
    startsMs.push(await startMs(configurations.own));
    readStartsMs.push(await startMs(configurations.read));
    bareStartsMs.push(await startMs(configurations.bare));
  }
  return {
    gzipBytes: copied.reduce((sum, path) => sum + gzipSync(readFileSync(path), { level: 9 }).length, 0),
    startMs: median(startsMs) - median(readStartsMs),
    readMs: median(readStartsMs) - median(bareStartsMs),
    startsMs,
    readStartsMs,
    bareStartsMs,
  };
}

/** @param modules the entry first. @returns the path of a configuration for workerd, beside the entry */
function configured(modules: readonly [string, ...string[]]): string {
  const [script] = modules;
  const file = join(dirname(script), `${basename(script, '.js')}.capnp`);
  const embedded = modules
    .map((path) => relative(dirname(script), path))
    .map((name) => `(name = "${name}", esModule = embed "${name}")`);
  writeFileSync(
    file,
    `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [ (name = "main", worker = .main) ],
  sockets = [ (name = "http", address = "127.0.0.1:0", http = (), service = "main") ],
);
const main :Workerd.Worker = (
  modules = [ ${embedded.join(', ')} ],
  compatibilityDate = "2026-11-01",
  compatibilityFlags = [ "new_module_registry" ],
);
`,
  );
  return file;
}

/** From the process's start until it listens, before which it evaluates every module. */
function startMs(config: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const startedMs = performance.now();
    const child = spawn(workerd, ['serve', config, '--control-fd=3'], {
      stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
    });
    const said: string[] = [];
    child.stderr!.on('data', (data) => said.push(String(data)));
    const late = setTimeout(() => child.kill('SIGKILL'), READY_WITHIN_MS);
    let tookMs: number | null = null;
    child.stdio[3]!.once('data', () => {
      tookMs = performance.now() - startedMs;
      child.kill('SIGKILL');
    });
    child.once('error', reject);
    child.once('exit', () => {
      clearTimeout(late);
      if (tookMs === null) reject(new Error(`workerd did not start:\n${said.join('')}`));
      else resolve(tookMs);
    });
  });
}
