/** Starts one installed engine on loopback, says when it answers, and ends it with all of its processes. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { setPriority } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import {
  ARCHITECTURES,
  type Architecture,
  DEFAULT_FOLDER,
  HERE,
  homeOf,
  keysOf,
  MODEL_PATH,
  pythonOf,
  RECOMMENDED,
  RELEASES,
  type Release,
  WEIGHT_VERSION,
} from './folder.ts';

/** An engine that has not ended by then is killed: 0.5.20 can wait for its requests for ever. */
const STOPS_WITHIN_MS = 10_000;

const USAGE = `Usage: node tests/engine/start.ts [--engine-version ${RELEASES.join('|')}] [--architecture ${ARCHITECTURES.join('|')}]
         [--port 30000] [--folder FOLDER] [-- FLAGS OF SGLANG]
Starts an engine that tests/engine/install.ts has installed, with a random key and admin key that stand in
FOLDER/keys.yaml. It takes a minute or two, then one line names its address. Ctrl-C ends it. A flag of yours replaces
the default of the same name: -- --max-queued-requests=2`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    'engine-version': { type: 'string', default: RECOMMENDED },
    architecture: { type: 'string', default: 'qwen2' },
    port: { type: 'string', default: '30000' },
    folder: { type: 'string', default: DEFAULT_FOLDER },
    help: { type: 'boolean', default: false },
  },
});
const release = RELEASES.find((each) => each === values['engine-version']);
const architecture = ARCHITECTURES.find((each) => each === values.architecture);
if (values.help || !release || !architecture) {
  console.log(USAGE);
  process.exit(values.help ? 0 : 2);
}
if (!existsSync(pythonOf(values.folder, release))) {
  console.error(`SGLang ${release} is not installed in ${values.folder}. Run: node tests/engine/install.ts`);
  process.exit(1);
}
await serve(release, architecture);

/** A few sequences and a small cache: enough to fill queue and cache with requests of a few tokens. */
function flags(): string[] {
  return [
    // In two words: SGLang overlooks --config=FILE, and would serve everybody.
    ...['--config', keysOf(values.folder)],
    `--model-path=${MODEL_PATH}`,
    `--weight-version=${WEIGHT_VERSION}`,
    ...['--host=127.0.0.1', `--port=${values.port}`, '--log-level=warning'],
    ...['--max-total-tokens=20000', '--max-running-requests=8', '--max-queued-requests=8'],
    ...['--reasoning-parser=deepseek-r1', '--tool-call-parser=deepseekv3'],
    // The agent knows a template by its file's name: this one has R1's rules under that of R1's.
    `--chat-template=${join(HERE, 'tool_chat_template_deepseekr1.jinja')}`,
    ...['--enable-priority-scheduling', '--enable-cache-report', '--enable-metrics'],
    // A CPU without AMX needs attention by PyTorch, and none of what only GPUs gain from.
    ...[
      '--device=cpu',
      '--attention-backend=torch_native',
      '--disable-overlap-schedule',
      '--skip-server-warmup',
    ],
    ...positionals,
  ];
}

async function serve(release: Release, architecture: Architecture): Promise<never> {
  const engine = spawn(pythonOf(values.folder, release), [join(HERE, 'launch.py'), ...flags()], {
    cwd: homeOf(values.folder, architecture),
    env: {
      ...process.env,
      PYTHONPATH: join(HERE, 'stand-in'),
      PYTHONDONTWRITEBYTECODE: '1',
      SGLANG_USE_CPU_ENGINE: '1',
      // More threads only wait for each other at this size.
      OMP_NUM_THREADS: '1',
      HF_HUB_OFFLINE: '1',
      TRANSFORMERS_OFFLINE: '1',
    },
    stdio: ['ignore', 'inherit', 'inherit'],
    // Its own group: the scheduler and the detokenizer are processes that outlive a main process that is killed.
    detached: true,
  });
  const group = engine.pid!;
  setPriority(group, 5);
  const closed = once(engine, 'close') as Promise<[number | null]>;
  let isClosed = false;
  const ended = closed.then(([code]) => {
    isClosed = true;
    kill(group, 'SIGKILL');
    return code;
  });
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void end());
  void announce();
  process.exit((await ended) ?? 0);

  async function end(): Promise<void> {
    kill(group, 'SIGTERM');
    // 0.5.20 can keep states of requests for ever, and then does not end by itself.
    await Promise.race([ended, sleep(STOPS_WITHIN_MS, undefined, { ref: false })]);
    kill(group, 'SIGKILL');
  }

  async function announce(): Promise<void> {
    const url = `http://127.0.0.1:${values.port}`;
    while (!isClosed) {
      const answers = await fetch(`${url}/health`).then(
        ({ status }) => status === 200,
        () => false,
      );
      if (answers) {
        console.log(JSON.stringify({ listening: url, keys: keysOf(values.folder) }));
        return;
      }
      await sleep(1_000);
    }
  }
}

/** Signals a process group; one that has ended needs no signal. */
function kill(group: number, signal: 'SIGTERM' | 'SIGKILL'): void {
  try {
    process.kill(-group, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
