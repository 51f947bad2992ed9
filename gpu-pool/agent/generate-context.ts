/** Everything of the agent that the handling of one request needs. */
import type { AbortWatch } from './abort-watch.ts';
import type { ActiveRequests } from './active-requests.ts';
import type { Engine } from './engine-client.ts';
import type { EngineQueue } from './engine-queue.ts';
import type { EngineWatch } from './engine-watch.ts';
import type { Journal } from './journal.ts';
import type { Log } from './log.ts';
import type { Metrics } from './metrics.ts';
import type { VerifyRequestToken } from './request-token.ts';

export interface Deadlines {
  /** From the engine receiving a request to its first token. */
  firstTokenMs: number;
  /** Between two tokens; also how long a reader may take nothing. */
  idleMs: number;
  /** For the engine to report what it generated, after an abort. */
  abortGraceMs: number;
  /** For the engine's count to show that an abort which it did not report has stopped the request. */
  abortProofMs: number;
  /** For an engine with nothing to prefill to show a sign of life (engine-pulse.ts). */
  silenceMs: number;
}

export interface GenerateContext {
  engine: Engine;
  watch: EngineWatch;
  journal: Journal;
  activeRequests: ActiveRequests;
  aborts: AbortWatch;
  queue: EngineQueue;
  verifyToken: VerifyRequestToken;
  deadlines: Deadlines;
  metrics: Metrics;
  log: Log;
  now: () => number;
  /** Whether new requests are taken. */
  serving: () => boolean;
  onReceipt: () => void;
}
