/**
 * The engine's scheduler processes, as this host's /proc shows them: a further witness, which tells a stopped scheduler from
 * one within a long prefill step. It says nothing of an agent in a container of its own, which does not see them, nor of a
 * scheduler that runs and waits for ever.
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** How SGLang names its schedulers, as far as the kernel keeps it: 15 characters (scheduler.py, `setproctitle`). */
const SCHEDULER = 'sglang::schedul';
/** The port of an engine whose command line names none (server_args.py). */
const DEFAULT_PORT = '30000';

interface Process {
  id: string;
  parent: string;
  name: string;
  /** The kernel's letter: T is stopped by a signal. */
  state: string;
}

/**
 * Whether a scheduler of the engine at this address is stopped; false where no process can be seen to be one.
 * @param root for tests; default: /proc
 */
export async function hasStoppedScheduler(engineUrl: URL, root = '/proc'): Promise<boolean> {
  const entries = await readdir(root).catch(() => []);
  const read = await Promise.all(entries.filter((id) => /^\d+$/.test(id)).map((id) => readProcess(root, id)));
  const processes = new Map(read.filter((each) => each !== null).map((each) => [each.id, each]));
  const stopped = [...processes.values()].filter(
    ({ name, state }) => name.startsWith(SCHEDULER) && state === 'T',
  );
  for (const scheduler of stopped) {
    if (await belongsTo(scheduler, { processes, root, port: engineUrl.port })) return true;
  }
  return false;
}

/** Whether one of a process's ancestors is the launcher of the engine at this port. */
async function belongsTo(
  scheduler: Process,
  { processes, root, port }: { processes: ReadonlyMap<string, Process>; root: string; port: string },
): Promise<boolean> {
  // A controller of data-parallel ranks can be between the two.
  for (let above = processes.get(scheduler.parent); above; above = processes.get(above.parent)) {
    const words = (await readText(root, above.id, 'cmdline')).split('\0');
    if (words.some((word) => word.includes('sglang')) && portOf(words) === port) return true;
  }
  return false;
}

function portOf(words: readonly string[]): string {
  const at = words.findIndex((word) => word === '--port' || word.startsWith('--port='));
  if (at === -1) return DEFAULT_PORT;
  return words[at]!.split('=')[1] ?? words[at + 1] ?? '';
}

/** `id (name) state parent …`; a name can have blanks and brackets (proc_pid_stat). */
async function readProcess(root: string, id: string): Promise<Process | null> {
  const match = /^\d+ \((.*)\) (\S) (\d+) /s.exec(await readText(root, id, 'stat'));
  return match && { id, name: match[1]!, state: match[2]!, parent: match[3]! };
}

/** Empty where the process has ended. */
function readText(root: string, id: string, file: string): Promise<string> {
  return readFile(join(root, id, file), 'utf8').catch(() => '');
}
