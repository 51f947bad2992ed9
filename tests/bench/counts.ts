/** What is counted of a Worker and its Durable Objects: calls and rows, by whom and in which store. */

export const OBJECTS = ['Wallet', 'Pool', 'Batch'] as const;
export type ObjectName = (typeof OBJECTS)[number];

export interface ObjectCounts {
  /** by method; each is a request to the object */
  readonly calls: Record<string, number>;
  readonly alarms: number;
  /** of its SQLite, and one for each alarm that was set */
  readonly rowsWritten: number;
  readonly rowsRead: number;
  /** in which at least one call was under way, over all objects of the class */
  readonly activeMs: number;
}

export interface D1Counts {
  readonly queries: number;
  readonly rowsRead: number;
  readonly rowsWritten: number;
}

export interface RawCounts {
  readonly objects: Record<ObjectName, ObjectCounts>;
  readonly d1: D1Counts;
  /** messages sent */
  readonly queued: number;
  /** requests to the Worker, by path */
  readonly requests: Record<string, number>;
}

/** The route on which counting-entry.ts says what it counted. */
export const COUNTS_PATH = '/bench/counts';
