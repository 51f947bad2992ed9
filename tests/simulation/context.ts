/**
 * Whose turn it is. All isolates and objects run the same code; what differs (module state, clock, network, life) is
 * looked up here. A task belongs to one of them from its first step to the point where all that it woke waits again.
 */

import type { Life, Timers } from './life.ts';
import type { SimCache } from './platform/cache.ts';
import type { SimResponse } from './platform/http.ts';
import type { Random } from './random.ts';

export interface Context extends Life {
  /** module state of the Worker's code: see bundle/module-state.ts */
  readonly state: object;
  /** how far its clock is ahead of the world's */
  readonly offsetMs: number;
  readonly scheduler: Timers;
  readonly secretRandom: Random;
  readonly cache: SimCache;
  fetch(url: string, init: Record<string, unknown>): Promise<SimResponse>;
  log(line: string): void;
}

/** `state` is what the bundle reads; `context` what its globals do. */
export const CURRENT: { state: object | null; context: Context | null } = { state: null, context: null };

export function enter(context: Context): void {
  CURRENT.context = context;
  CURRENT.state = context.state;
}
