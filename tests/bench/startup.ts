/**
 * Measures the Worker's size and how long workerd takes to evaluate it, by comparing its start with that of a bare Worker
 * that reads the same modules without running them. Reading files is local workerd's work and not part of what the platform
 * calls start-up, so it is reported separately.
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
  /** The time to compile and evaluate the Worker, a difference of medians; below zero it is lost in the noise. */
  readonly startMs: number;
  /** The time to read the Worker's files. */
  readonly readMs: number;
  readonly startsMs: readonly number[];
  /** Starts of a bare Worker with the same files; `bareStartsMs` are those of one without them. */
  readonly readStartsMs: readonly number[];
  readonly bareStartsMs: readonly number[];
}

/** The path of the workerd executable. */
const { default: workerd } = createRequire(import.meta.url)('workerd') as { default: string };

const STARTS = 9;
const READY_WITHIN_MS = 20_000;

/** @param script the path of the production bundle. @param dir a folder for configurations */
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

/** @param modules the paths of modules, the entry first. @returns the path of a workerd configuration beside the entry */
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

/** Measures from the process's start until it listens, which it does after evaluating every module. */
function startMs(config: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const startedMs = performance.now();
    const child = spawn(workerd, ['serve', config, '--control-fd=3'], {
      stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
    });
    const errors: string[] = [];
    child.stderr!.on('data', (data) => errors.push(String(data)));
    const killTimer = setTimeout(() => child.kill('SIGKILL'), READY_WITHIN_MS);
    let tookMs: number | null = null;
    child.stdio[3]!.once('data', () => {
      tookMs = performance.now() - startedMs;
      child.kill('SIGKILL');
    });
    child.once('error', reject);
    child.once('exit', () => {
      clearTimeout(killTimer);
      if (tookMs === null) reject(new Error(`workerd did not start:\n${errors.join('')}`));
      else resolve(tookMs);
    });
  });
}
