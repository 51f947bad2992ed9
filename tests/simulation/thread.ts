/** A thread that runs worlds one after another, each from its seed, on one compiled Worker. */
import { parentPort, workerData } from 'node:worker_threads';
import { startMachine } from './bundle/machine.ts';
import { type RunOptions, simulate } from './run.ts';

export type ToThread = RunOptions | { readonly bundle: string };

const { bundle } = workerData as { bundle: string };
let machine = startMachine(bundle);
/** a promise that nobody waits for fails in a Worker without ending it, and so it does here */
process.on('unhandledRejection', () => {});

parentPort!.on('message', (message: ToThread) => {
  if ('bundle' in message) machine = startMachine(message.bundle);
  // a macrotask of its own: see drainMicrotasks
  else setImmediate(() => parentPort!.postMessage(simulate(message, machine)));
});
