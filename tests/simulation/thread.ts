/** The thread's side: runs worlds one after another, each from its seed, on one compiled Worker. */
import { parentPort, workerData } from 'node:worker_threads';
import { startMachine } from './bundle/machine.ts';
import { type RunOptions, simulate } from './run.ts';

export type ToThread = RunOptions | { readonly bundle: string };

const { bundle } = workerData as { bundle: string };
let machine = startMachine(bundle);
// on Cloudflare the rejection of a promise that nothing awaits does not end the isolate, so it must not end the thread
process.on('unhandledRejection', () => {});

parentPort!.on('message', (message: ToThread) => {
  if ('bundle' in message) machine = startMachine(message.bundle);
  // simulate() must run in a macrotask: see drainMicrotasks
  else setImmediate(() => parentPort!.postMessage(simulate(message, machine)));
});
