/** The load generator, in a process of its own: what is ordered of it, and what it says. */
import { startChild } from './child.ts';

export interface LoadOrder {
  readonly port: number;
  readonly path: string;
  /** beside authorization and what HTTP needs */
  readonly headers: Readonly<Record<string, string>>;
  /** bearer tokens, one after the other */
  readonly keys: readonly string[];
  /** name of one of workloads.ts */
  readonly workload: string;
  readonly connections: number;
  /** of load before anything is noted */
  readonly warmUpSeconds: number;
  /** at most, after that */
  readonly seconds: number;
  /** at most; absent: as many as there is time for */
  readonly requests?: number;
}

/** Milliseconds. */
export interface Spread {
  readonly p50: number;
  readonly p99: number;
}

export interface LoadResult {
  /** the warm-up's, too; all else is of what came after */
  readonly answered: number;
  readonly requests: number;
  readonly seconds: number;
  readonly tokens: number;
  readonly totalMs: Spread;
  /** to the first byte of the body */
  readonly firstMs: Spread;
}

export interface Load {
  readonly pid: number;
  /** @param onBegun when all connections are open. @throws Error when one answer is not as expected */
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
