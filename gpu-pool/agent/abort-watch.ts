/**
 * Watches whether aborted requests have really stopped. SGLang answers an abort with 200 whatever becomes of it,
 * and has gone on decoding more than once (sglang#36333, #36876), so an abort counts only with a proof.
 */
import type { ActiveRequest } from './active-requests.ts';
import type { Log } from './log.ts';
import type { EngineLoad } from './sglang/load.ts';

/**
 * Proofs that an aborted request has stopped.
 * - stream: the engine ended the request's stream itself.
 * - count: the engine runs and queues no more sequences than this agent has in flight.
 * - none: it still runs more after `proofDeadlineMs`, or does not report its count.
 */
export const ABORT_PROOFS = ['stream', 'count', 'none'] as const;
export type AbortProof = (typeof ABORT_PROOFS)[number];

/**
 * Consecutive low counts that make a proof. Other requests start and end between two counts, so a single one proves
 * little.
 */
const CONFIRMATIONS_MIN = 3;

export interface AbortWatchOptions {
  /** Sequences that the engine may run for this agent. */
  inFlightSequences: () => number;
  look: () => Promise<EngineLoad | 'refused' | null>;
  intervalMs: number;
  proofDeadlineMs: number;
  now: () => number;
  onProof: (proof: AbortProof) => void;
  log: Log;
}

export class AbortWatch {
  readonly #options: AbortWatchOptions;
  readonly #pending = new Map<ActiveRequest, { sinceMs: number; confirmations: number }>();
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;
  /** The times of the snapshot that was seen last. */
  #snapshot: string | null = null;

  constructor(options: AbortWatchOptions) {
    this.#options = options;
  }

  get pending(): number {
    return this.#pending.size;
  }

  /** Called when the agent is done with a request. `engineEnded`: the engine's stream came to an end of its own. */
  requestEnded(request: ActiveRequest, { engineEnded }: { engineEnded: boolean }): void {
    if (engineEnded) {
      if (request.aborting !== null) this.#options.onProof('stream');
      return;
    }
    if (!request.abortSent) return;
    this.#pending.set(request, { sinceMs: this.#options.now(), confirmations: 0 });
    this.#schedule();
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  #schedule(): void {
    if (this.#stopped || this.#timer !== undefined || this.#pending.size === 0) return;
    this.#timer = setTimeout(async () => {
      await this.#poll();
      this.#timer = undefined;
      this.#schedule();
    }, this.#options.intervalMs);
  }

  /** Reads the engine's count once for all pending aborts, and repeats the aborts that are not proved yet. */
  async #poll(): Promise<void> {
    const { inFlightSequences, look, proofDeadlineMs, now, onProof, log } = this.#options;
    const polled = [...this.#pending];
    const before = inFlightSequences();
    const seen = await look();
    // A request that started or ended meanwhile may or may not be in the engine's count, so the larger number is
    // used.
    const inFlight = Math.max(before, inFlightSequences());
    const atEngine = sequencesAt(seen);
    const snapshot = seen === null || seen === 'refused' ? null : timesOf(seen);
    // A snapshot that was counted before is no second proof: that of a hung scheduler never changes.
    const isNew = snapshot === null || snapshot !== this.#snapshot;
    this.#snapshot = snapshot;
    for (const [request, entry] of polled) {
      if (atEngine === null || atEngine > inFlight) entry.confirmations = 0;
      else if (isNew) entry.confirmations += 1;
      if (entry.confirmations >= CONFIRMATIONS_MIN) {
        this.#pending.delete(request);
        onProof('count');
      } else if (now() - entry.sinceMs >= proofDeadlineMs) {
        this.#pending.delete(request);
        onProof('none');
        log('abort_unproven', { request: request.claims.jti, at_engine: atEngine, in_hand: inFlight });
      } else request.abortAtEngine();
    }
  }
}

/** Sequences that the engine runs and queues; one that is down has none. */
function sequencesAt(seen: EngineLoad | 'refused' | null): number | null {
  if (seen === 'refused') return 0;
  return seen === null ? null : seen.load.running_requests + seen.load.waiting_requests;
}

/** Null where a rank's snapshot has no time: each look then counts. */
function timesOf({ ranks }: EngineLoad): string | null {
  return ranks.some(({ at }) => at === null) ? null : ranks.map(({ at }) => at).join();
}
