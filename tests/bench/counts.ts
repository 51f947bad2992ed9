/** The counters of a Worker and its Durable Objects: calls and rows by class and store. */

/** The classes of Durable Objects, with the names of their bindings. */
export const BINDINGS = {
  Wallet: 'WALLET',
  Pool: 'POOL',
  Batch: 'BATCH',
  RateLimiter: 'RATE_LIMITER',
  ResponseStore: 'RESPONSES',
} as const;
export const OBJECTS = [
  'Wallet',
  'Pool',
  'Batch',
  'RateLimiter',
  'ResponseStore',
] as const satisfies (keyof typeof BINDINGS)[];
export type ObjectName = (typeof OBJECTS)[number];

export interface ObjectCounts {
  /** Calls by method; each is billed as a request to the object. */
  readonly calls: Record<string, number>;
  readonly alarms: number;
  /** Rows written in its SQLite, and one for each alarm that was set. */
  readonly rowsWritten: number;
  readonly rowsRead: number;
  /** `rowsWritten` by statement, as `statementName` names them. */
  readonly written: Record<string, number>;
  /** The time in which at least one call was running, over all objects of the class. */
  readonly activeMs: number;
}

export interface D1Counts {
  readonly queries: number;
  readonly rowsRead: number;
  readonly rowsWritten: number;
  /** `rowsWritten` by statement, as `statementName` names them. */
  readonly written: Record<string, number>;
}

/** The verb and the table of a statement that writes, such as `UPDATE request`. */
export function statementName(sql: string): string {
  const [, verb, table] = /\b(INSERT|UPDATE|DELETE)\b(?: OR \w+)?(?: INTO| FROM)? "?(\w+)/i.exec(sql) ?? [];
  return verb === undefined ? 'other' : `${verb.toUpperCase()} ${table}`;
}

export interface RawCounts {
  readonly objects: Record<ObjectName, ObjectCounts>;
  readonly d1: D1Counts;
  /** Queue messages sent. */
  readonly queued: number;
  /** Requests to the Worker by path. */
  readonly requests: Record<string, number>;
}

/** The route on which counting-entry.ts serves its counts. */
export const COUNTS_PATH = '/bench/counts';
