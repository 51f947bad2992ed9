/**
 * Child processes of a local Tollgate. Each is started in a process group of its own, so that ending it ends
 * everything that it started.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { createInterface } from 'node:readline';

export interface RunningProcess {
  readonly pid: number;
  /** Resolves with the exit code, or null when a signal ended it. */
  readonly exited: Promise<number | null>;
  /** Signals the whole group. */
  signal(signal: NodeJS.Signals): void;
  /** Sends SIGTERM, then SIGKILL after `graceMs`. */
  stop(graceMs?: number): Promise<void>;
}

const running = new Set<RunningProcess>();

/** Stops every process that was started and still runs. */
export async function stopAll(): Promise<void> {
  await Promise.all([...running].map((each) => each.stop()));
}

export interface StartedProcess<T> extends RunningProcess {
  /** The value that `isReady` returned when the process was ready. */
  readonly ready: T;
}

export interface StartOptions {
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Record<string, string | undefined>;
  /** File to which its output is appended. */
  readonly logFile: string;
  readonly readyWithinMs: number;
}

/**
 * Starts a process and waits for a line on stdout for which `isReady` does not return null.
 * @throws Error with the last lines of its output when it exits first or the time is over
 */
export async function start<T>(
  options: StartOptions,
  isReady: (line: string) => T | null,
): Promise<StartedProcess<T>> {
  const child = spawn(options.command, options.args, {
    env: { ...process.env, ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  const group = supervise(child);
  const log = createWriteStream(options.logFile, { flags: 'a' });
  const tail: string[] = [];
  const keep = (line: string) => {
    log.write(`${line}\n`);
    tail.push(line);
    if (tail.length > 20) tail.shift();
  };

  let timer: NodeJS.Timeout | undefined;
  try {
    const ready = await new Promise<T>((resolve, reject) => {
      const description = `${options.command} ${options.args.slice(0, 2).join(' ')}`;
      const fail = (reason: string) => reject(new Error(`${description} ${reason}\n${tail.join('\n')}`));
      timer = setTimeout(
        () => fail(`was not ready within ${options.readyWithinMs / 1000} s`),
        options.readyWithinMs,
      );
      createInterface({ input: child.stderr! }).on('line', keep);
      createInterface({ input: child.stdout! }).on('line', (line) => {
        keep(line);
        const found = isReady(line);
        if (found !== null) resolve(found);
      });
      child.on('error', (error) => fail(`could not be started: ${error.message}`));
      group.exited.then((code) => fail(`ended with code ${code}`));
    });
    return { ...group, ready };
  } catch (error) {
    await group.stop(0);
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

/**
 * The address in a line like `{"listening": "http://…"}`, which each of our processes prints when it is ready; null
 * for other lines.
 */
export function parseListening(line: string): string | null {
  try {
    return (JSON.parse(line) as { listening?: string }).listening ?? null;
  } catch {
    return null;
  }
}

/** Runs a command to its end. @throws Error with its output when it fails */
export async function run(
  command: string,
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<string> {
  const child = spawn(command, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  child.stdout.on('data', (data) => {
    output += data;
  });
  child.stderr.on('data', (data) => {
    output += data;
  });
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', resolve);
  });
  if (code !== 0) throw new Error(`${command} ${args.join(' ')} failed:\n${output.trim()}`);
  return output;
}

function supervise(child: ChildProcess): RunningProcess {
  const pid = child.pid ?? 0;
  const exited = new Promise<number | null>((resolve) => {
    child.on('exit', (code) => resolve(code));
    child.on('error', () => resolve(null));
  });
  const signal = (name: NodeJS.Signals) => {
    if (pid === 0) return;
    try {
      process.kill(-pid, name);
    } catch {
      // The group has ended already.
    }
  };
  const group: RunningProcess = {
    pid,
    exited,
    signal,
    async stop(graceMs = 5_000) {
      signal('SIGTERM');
      const timer = setTimeout(() => signal('SIGKILL'), graceMs);
      await exited;
      clearTimeout(timer);
      signal('SIGKILL');
    },
  };
  running.add(group);
  exited.then(() => running.delete(group));
  return group;
}
