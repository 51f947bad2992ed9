/**
 * The faults and their rates. A fault is drawn at each message; the safety phase has all faults, the liveness phase none.
 * The rates are high for a platform, but low enough that most requests are served.
 */
import type { Random } from './random.ts';
import type { Trace } from './trace.ts';

/** Faults of a call from an isolate to a Wallet, the Pool or D1. */
const CALL = {
  fine: 1,
  /** The call takes seconds. */
  slow: 0.004,
  /** The call never arrives, and its caller gets an error. */
  lost_before: 0.003,
  /** The call is carried out, and its caller gets an error. */
  lost_after: 0.003,
  /** The target restarts after the call was carried out, before the reply leaves. */
  target_dies: 0.001,
} as const;
/** The extra time of a slow call: longer than a lease report may take before it counts as lost. */
export const SLOW_MS = 4_000;
export type CallFault = keyof typeof CALL;

/** Faults of one attempt at a node. */
const NODE = {
  fine: 1,
  refuses: 0.012,
  resets_before_headers: 0.01,
  dies_before_first_event: 0.01,
  dies_mid_stream: 0.012,
  hangs_before_headers: 0.003,
  hangs_mid_stream: 0.003,
  byte_every_10_s: 0.002,
  split_at_every_byte: 0.02,
  malformed_frame: 0.006,
  chunk_without_usage: 0.004,
  negative_usage: 0.004,
  more_cached_than_read: 0.004,
  no_done: 0.006,
  bytes_after_done: 0.01,
  engine_usage_missing: 0.01,
  engine_usage_lies: 0.01,
  overloaded_503: 0.01,
  engine_failed_502: 0.008,
  fails_after_work: 0.008,
  html_200: 0.004,
  keeps_generating_after_abort: 0.02,
} as const;
export type NodeFault = keyof typeof NODE;

/** Faults that happen by themselves, per second of virtual time. */
export const PER_SECOND = {
  isolate_dies: 0.12,
  wallet_restarts: 0.1,
  pool_restarts: 0.02,
  node_dies: 0.03,
  half_the_pool_dies: 0.004,
} as const;

export class Faults {
  on = true;
  /** A factor on the rates of the tables. */
  factor = 1;
  readonly #random: Random;
  readonly #trace: Trace;

  constructor(random: Random, trace: Trace) {
    this.#random = random;
    this.#trace = trace;
  }

  call(): CallFault {
    return this.on ? this.#draw('call', CALL) : 'fine';
  }

  node(): NodeFault {
    return this.on ? this.#draw('node', NODE) : 'fine';
  }

  /** Draws whether a fault of this probability happens now. */
  chance(what: string, probability: number): boolean {
    if (!this.on || !this.#random.chance(this.factor * probability)) return false;
    this.#trace.count(`fault ${what}`);
    return true;
  }

  /** Draws how long a message takes within the edge. */
  latencyMs(): number {
    return this.#random.between(0.2, 8);
  }

  #draw<K extends string>(target: string, table: Readonly<Record<K, number>>): K {
    const fault = drawFrom(table, this.#random.next() / this.factor);
    if (fault !== 'fine') this.#trace.count(`fault ${target} ${fault}`);
    return fault;
  }
}

/** Draws a row of the table. The first row has the rest of the probability. */
function drawFrom<K extends string>(table: Readonly<Record<K, number>>, at: number): K {
  let left = at;
  let first: K | null = null;
  for (const kind in table) {
    if (first === null) {
      first = kind;
      continue;
    }
    left -= table[kind];
    if (left < 0) return kind;
  }
  return first!;
}
