/**
 * Whether aborted requests have really stopped. SGLang answers an abort with 200 whatever becomes of it, and has
 * gone on decoding more than once (sglang#36333, #36876), so an abort counts only with a proof.
 */
import type { NodeLoad } from '../protocol/schemas.ts';
import type { ActiveRequest } from './active-requests.ts';
import type { Log } from './log.ts';

/**
 * stream: the engine ended the request's stream itself; count: it runs and queues no more than this agent has in
 * hand; none: it still does after `boundMs`, or does not say
 */
export const ABORT_PROOFS = ['stream', 'count', 'none'] as const;
export type AbortProof = (typeof ABORT_PROOFS)[number];

/** Other requests come and go between two counts, so a single one proves little. */
const CONFIRMATIONS_MIN = 3;

export interface AbortWatchOptions {
  /** sequences that the engine may run for this agent */
  inFlightSequences: () => number;
  readLoad: () => Promise<NodeLoad | null>;
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

  constructor(options: AbortWatchOptions) {
    this.#options = options;
  }

  get pending(): number {
    return this.#pending.size;
  }

  /** The agent is done with a request. `engineEnded`: the engine's stream came to an end of its own. */
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

  /** Counts once for all, and tells the engine again. */
  async #poll(): Promise<void> {
    const { inFlightSequences, readLoad, proofDeadlineMs, now, onProof, log } = this.#options;
    const polled = [...this.#pending];
    const before = inFlightSequences();
    const load = await readLoad();
    // What began or ended meanwhile may be in the engine's count or not: give it the benefit.
    const inFlight = Math.max(before, inFlightSequences());
    const atEngine = load === null ? null : load.running_requests + load.waiting_requests;
    for (const [request, entry] of polled) {
      entry.confirmations = atEngine !== null && atEngine <= inFlight ? entry.confirmations + 1 : 0;
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
