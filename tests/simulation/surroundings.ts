/** The simulated world as its isolates and Durable Objects see it. */
import type { Machine } from './bundle/machine.ts';
import type { Context } from './context.ts';
import type { Faults } from './faults.ts';
import type { Life, Timers } from './life.ts';
import type { Random } from './random.ts';

/** The members of Universe that isolates and Durable Objects use, so that they need not import Universe, which imports them. */
export interface Surroundings {
  readonly nowMs: number;
  readonly random: Random;
  readonly scheduler: Timers;
  readonly faults: Faults;
  readonly machine: Machine;
  readonly logs: string[];
  /** Adds an event to the trace. @param about the request, node or account that it happened to */
  note(what: string, about: string): void;
  /** Starts a life with fresh module state. */
  begin(options: Pick<Context, 'offsetMs' | 'fetch'>): Context;
  /** The Worker's `env`, whose calls belong to this life. */
  bindings(life: Life): object;
}
