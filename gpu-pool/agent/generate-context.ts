/** Everything that the handling of one request needs of its agent. */
import type { AbortWatch } from './abort-watch.ts';
import type { ActiveRequests } from './active-requests.ts';
import type { Engine } from './engine-client.ts';
import type { EngineWatch } from './engine-watch.ts';

import type { Journal } from './journal.ts';
import type { Log } from './log.ts';
import type { Metrics } from './metrics.ts';
import type { VerifyRequestToken } from './request-token.ts';

export interface Deadlines {
  /** from the engine's receiving a request to its first token */
  firstTokenMs: number;
  /** between tokens, and for a reader that takes nothing */
  idleMs: number;
  /** for the engine to report what it generated, after an abort */
  abortGraceMs: number;
  /** for the engine's count to show that an abort it did not report has stopped it */
  abortProofMs: number;
}

export interface GenerateContext {
  engine: Engine;
  watch: EngineWatch;
  journal: Journal;
  activeRequests: ActiveRequests;
  aborts: AbortWatch;
  verifyToken: VerifyRequestToken;
  deadlines: Deadlines;
  metrics: Metrics;
  log: Log;
  now: () => number;
  /** whether new work is taken */
  serving: () => boolean;
  onReceipt: () => void;
}
