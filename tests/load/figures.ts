/** What tests/load/pool.ts orders of its driver (tests/worker/fleet/pool-driver.ts), and what it hears of it. */
export interface Order {
  readonly phase: 'register' | 'heartbeats' | 'routes' | 'together';
  readonly nodes: number;
  /** isolates */
  readonly readers: number;
  readonly seconds: number;
  /** of each node */
  readonly heartbeatEveryMs: number;
}

export interface Measured {
  readonly seconds: number;
  readonly heartbeats: Timed;
  readonly reads: Timed;
  /** reads that the Pool itself answered */
  readonly poolCalls: number;
  /** reads of isolates that left their memory */
  readonly refreshes: number;
  readonly snapshotBytes: number;
  /** of what isolates routed by */
  readonly ageMs: { readonly p50: number; readonly p99: number };
}

export interface Timed {
  readonly count: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}
