/** The load generator in its own process: its orders and results. */
import { startChild } from './child.ts';
import type { Workload } from './workloads.ts';

/** A place in headers for a text that no other request has. */
export const UNIQUE = '(unique in each)';

export interface LoadOrder {
  readonly port: number;
  readonly path: string;
  /** Headers besides authorization and those that HTTP requires. UNIQUE in them is another text in each request. */
  readonly headers: Readonly<Record<string, string>>;
  /** Bearer tokens, which are used in turn. */
  readonly keys: readonly string[];
  readonly body: string;
  readonly workload: Workload;
  readonly connections: number;
  /** The time of load before the measurement. */
  readonly warmUpSeconds: number;
  /** The longest time of the measurement. */
  readonly seconds: number;
  /** The most requests; absent: as many as there is time for */
  readonly requests?: number;
}

/** Percentiles in milliseconds. */
export interface Spread {
  readonly p50: number;
  readonly p99: number;
}

export interface LoadResult {
  /** All answers, those of the warm-up included; the other figures exclude the warm-up. */
  readonly answered: number;
  readonly requests: number;
  readonly seconds: number;
  readonly tokens: number;
  readonly totalMs: Spread;
  /** The time to the first byte of the body. */
  readonly firstMs: Spread;
}

export interface Load {
  readonly pid: number;
  /** @param onBegun called when all connections are open. @throws Error when an answer is not as expected */
  run(order: LoadOrder, onBegun?: () => void): Promise<LoadResult>;
  stop(): Promise<void>;
}

export function startLoad(): Load {
  const child = startChild('./load-process.ts');
  return {
    pid: child.pid,
    run: (order, onBegun) => child.call<LoadResult>('run', order, onBegun),
    stop: () => child.stop(),
  };
}
