/**
 * The current context. All isolates and Durable Objects run the same code; what differs between them (module state,
 * clock, network, life) is looked up here. A task runs in one context, from its first step until everything that it
 * woke is waiting again.
 */

import type { Life, Timers } from './life.ts';
import type { SimCache } from './platform/cache.ts';
import type { SimResponse } from './platform/http.ts';
import type { Random } from './random.ts';

export interface Context extends Life {
  /** Module state of the Worker's code (bundle/module-state.ts). */
  readonly state: object;
  /** How far its clock is ahead of the world's. */
  readonly offsetMs: number;
  readonly scheduler: Timers;
  readonly secretRandom: Random;
  readonly cache: SimCache;
  fetch(url: string, init: Record<string, unknown>): Promise<SimResponse>;
  log(line: string): void;
}

/** The bundle reads `state`, and its globals read `context`. null: no context is current */
export const CURRENT: { state: object | null; context: Context | null } = { state: null, context: null };

export function enter(context: Context): void {
  CURRENT.context = context;
  CURRENT.state = context.state;
}
