/** The orders from tests/load/pool.ts to its driver (tests/worker/fleet/pool-driver.ts), and the driver's results. */
export interface Order {
  readonly phase: 'register' | 'heartbeats' | 'routes' | 'together';
  readonly nodes: number;
  /** The number of isolates that read. */
  readonly readers: number;
  readonly seconds: number;
  /** The heartbeat interval of each node. */
  readonly heartbeatEveryMs: number;
}

export interface Measured {
  readonly seconds: number;
  readonly heartbeats: Timed;
  readonly reads: Timed;
  /** Reads that the Pool itself answered. */
  readonly poolCalls: number;
  /** Reads that an isolate's memory did not answer. */
  readonly refreshes: number;
  readonly snapshotBytes: number;
  /** The age of the snapshots by which isolates routed. */
  readonly ageMs: { readonly p50: number; readonly p99: number };
}

export interface Timed {
  readonly count: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}
