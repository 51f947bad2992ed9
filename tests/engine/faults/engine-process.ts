/** An engine of the kit as a process that can be hurt: its scheduler is killed or stopped, and it is started again. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseListening, type StartedProcess, start } from '../../../gpu-pool/local/process.ts';
import { type Architecture, HERE, type Release } from '../folder.ts';

export interface EngineChoice {
  /** Where tests/engine/install.ts has installed it. */
  readonly folder: string;
  readonly release: Release;
  readonly architecture: Architecture;
}

/** Loading PyTorch twice on a busy machine takes minutes. */
const READY_MS_MAX = 600_000;
/** start.ts kills what has not ended after 10 s; it must itself live longer, or the scheduler would be left over. */
const STOP_MS = 15_000;
/** R1's node must hold the longest prompt that is sold. */
const FLAGS = ['--max-total-tokens=140000'];
/** How SGLang names its schedulers, as far as the kernel keeps it: 15 characters (scheduler.py, `setproctitle`). */
const SCHEDULER = 'sglang::schedul';

export class EngineProcess {
  readonly url: string;
  readonly #choice: EngineChoice;
  readonly #logFile: string;
  #running: StartedProcess<string> | null = null;

  constructor(choice: EngineChoice, { port, logFile }: { port: number; logFile: string }) {
    this.#choice = choice;
    this.#logFile = logFile;
    this.url = `http://127.0.0.1:${port}`;
  }

  /** Resolves when it answers. @throws Error with its last output when it does not start */
  async start(): Promise<void> {
    const { folder, release, architecture } = this.#choice;
    this.#running = await start(
      {
        command: process.execPath,
        args: [
          join(HERE, 'start.ts'),
          ...['--folder', folder, '--engine-version', release, '--architecture', architecture],
          ...['--port', new URL(this.url).port, '--', ...FLAGS],
        ],
        logFile: this.#logFile,
        readyWithinMs: READY_MS_MAX,
      },
      parseListening,
    );
  }

  /** Ends it with all of its processes, also when some of them have been killed. */
  async stop(): Promise<void> {
    this.signalScheduler('SIGCONT');
    await this.#running?.stop(STOP_MS);
    this.#running = null;
  }

  /** Signals the scheduler alone. @returns false where there is none */
  signalScheduler(signal: 'SIGKILL' | 'SIGSTOP' | 'SIGCONT'): boolean {
    const pid = this.#running === null ? undefined : schedulerBelow(this.#running.pid);
    if (pid !== undefined) process.kill(pid, signal);
    return pid !== undefined;
  }
}

interface Process {
  readonly pid: number;
  readonly parent: number;
  readonly name: string;
}

/** The scheduler among the descendants of a process. */
function schedulerBelow(ancestor: number): number | undefined {
  const all = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => readProcess(Number(pid)) ?? []);
  const below = new Set([ancestor]);
  for (let before = 0; before < below.size; ) {
    before = below.size;
    for (const { pid, parent } of all) if (below.has(parent)) below.add(pid);
  }
  return all.find(({ pid, name }) => below.has(pid) && name.startsWith(SCHEDULER))?.pid;
}

/** `id (name) state parent …`; a name can have blanks and brackets (proc_pid_stat). @returns null: it has ended */
function readProcess(pid: number): Process | null {
  try {
    const match = /^\d+ \((.*)\) \S (\d+) /s.exec(readFileSync(`/proc/${pid}/stat`, 'utf8'));
    return match && { pid, name: match[1]!, parent: Number(match[2]) };
  } catch {
    return null;
  }
}
