/** A few threads that share out runs; each result is handed over as it comes. */
import { Worker } from 'node:worker_threads';
import type { RunOptions, RunResult } from './run.ts';
import type { ToThread } from './thread.ts';

/** A world of some thousand requests leaves much garbage that is young: a larger nursery has it gone in one sweep. */
const YOUNG_MB = 96;

export interface Job extends RunOptions {
  /** text of the bundle; undefined: the one that the threads were started with */
  readonly bundle?: string;
}

/** @param onResult returns whether to go on; what runs already is not waited for when it says no */
export async function inThreads(
  jobs: Iterable<Job>,
  options: { threads: number; bundle: string; onResult(result: RunResult, job: Job): boolean },
): Promise<void> {
  const queue = jobs[Symbol.iterator]();
  let going = true;
  const work = async () => {
    const thread = new Worker(new URL('./thread.ts', import.meta.url), {
      workerData: { bundle: options.bundle },
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_MB },
    });
    try {
      let last: string | undefined;
      for (let next = queue.next(); going && !next.done; next = queue.next()) {
        const { bundle, ...run } = next.value;
        if (bundle !== last) thread.postMessage({ bundle: bundle ?? options.bundle } satisfies ToThread);
        last = bundle;
        const result = await answerOf(thread, run);
        going = going && options.onResult(result, next.value);
      }
    } finally {
      await thread.terminate();
    }
  };
  await Promise.all(Array.from({ length: options.threads }, work));
}

function answerOf(thread: Worker, run: RunOptions): Promise<RunResult> {
  return new Promise((resolve, reject) => {
    const over = () => {
      thread.off('message', answered);
      thread.off('error', failed);
      thread.off('exit', gone);
    };
    const answered = (result: RunResult) => {
      over();
      resolve(result);
    };
    const failed = (error: Error) => {
      over();
      reject(new Error(`seed ${run.seed}: ${error.stack}`, { cause: error }));
    };
    const gone = () => failed(new Error('the thread ended'));
    thread.on('message', answered);
    thread.on('error', failed);
    thread.on('exit', gone);
    thread.postMessage(run satisfies ToThread);
  });
}
