/** A system under test: it answers OpenAI's `/v1/chat/completions`. */
import type { LoadOrder } from '../load.ts';
import type { Workload } from '../workloads.ts';

export interface System extends Pick<LoadOrder, 'port' | 'path' | 'headers' | 'keys'> {
  readonly name: SystemName;
  /** The body of a request; absent: that of a chat completion */
  readonly body?: (workload: Workload) => string;
  /** Whether it can carry a load in reasonable time; absent: any */
  readonly fits?: (workload: Workload, connections: number) => boolean;
  /** Someone else's: where it fails it is left out, and the run goes on. */
  readonly isPeer?: true;
  /** The processes whose CPU time and memory count as the system's. */
  readonly pids: readonly number[];
  /** Counts the pending work after this many answered requests; null: nothing is done after an answer */
  readonly pending: ((requests: number) => Promise<number>) | null;
  /** Checks the system after a measurement. @throws Error when a request left a fault behind */
  verify(requests: number): Promise<void>;
  stop(): Promise<void>;
}

/** A system that this machine cannot have. */
export interface Missing {
  /** The reason, as half a sentence. */
  readonly missing: string;
}

export const SYSTEM_NAMES = [
  'upstream',
  'bare',
  'reading',
  'tollgate',
  'tollgate-before',
  'agent',
  'agent-before',
  'tollgate+agent',
  'portkey',
  'smg',
  'one-api',
  'litellm',
] as const;
export type SystemName = (typeof SYSTEM_NAMES)[number];

export const CHAT_PATH = '/v1/chat/completions';

/** The defaults of a system that only forwards requests. */
export const FORWARDS_ONLY = {
  path: CHAT_PATH,
  headers: {},
  keys: ['x'],
  pending: null,
  verify: async () => undefined,
} as const;
