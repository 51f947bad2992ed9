/** Runs worlds in a few threads and hands over each result as it comes. */
import { Worker } from 'node:worker_threads';
import type { RunOptions, RunResult } from './run.ts';
import type { ToThread } from './thread.ts';

/** A world of some thousand requests leaves much short-lived garbage; V8 collects it cheapest in a large young generation. */
const YOUNG_MB = 96;

export interface ThreadRun extends RunOptions {
  /** The text of the bundle; undefined: the one that the threads were started with. */
  readonly bundle?: string;
}

/** @param options.onResult returns whether to start further runs */
export async function runInThreads(
  runs: Iterable<ThreadRun>,
  options: { threads: number; bundle: string; onResult(result: RunResult, run: ThreadRun): boolean },
): Promise<void> {
  const queue = runs[Symbol.iterator]();
  let isGoingOn = true;
  const runQueue = async () => {
    const thread = new Worker(new URL('./thread.ts', import.meta.url), {
      workerData: { bundle: options.bundle },
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_MB },
    });
    try {
      let last: string | undefined;
      for (let next = queue.next(); isGoingOn && !next.done; next = queue.next()) {
        const { bundle, ...run } = next.value;
        if (bundle !== last) thread.postMessage({ bundle: bundle ?? options.bundle } satisfies ToThread);
        last = bundle;
        const result = await resultOf(thread, run);
        isGoingOn = isGoingOn && options.onResult(result, next.value);
      }
    } finally {
      await thread.terminate();
    }
  };
  await Promise.all(Array.from({ length: options.threads }, runQueue));
}

function resultOf(thread: Worker, run: RunOptions): Promise<RunResult> {
  return new Promise((resolve, reject) => {
    const stopListening = () => {
      thread.off('message', answered);
      thread.off('error', failed);
      thread.off('exit', exited);
    };
    const answered = (result: RunResult) => {
      stopListening();
      resolve(result);
    };
    const failed = (error: Error) => {
      stopListening();
      reject(new Error(`seed ${run.seed}: ${error.stack}`, { cause: error }));
    };
    const exited = () => failed(new Error('the thread ended'));
    thread.on('message', answered);
    thread.on('error', failed);
    thread.on('exit', exited);
    thread.postMessage(run satisfies ToThread);
  });
}
