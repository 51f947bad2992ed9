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
const LOOKS_MIN = 3;

export interface AbortWatchOptions {
  /** sequences that the engine may run for this agent */
  inHand: () => number;
  readLoad: () => Promise<NodeLoad | null>;
  intervalMs: number;
  boundMs: number;
  now: () => number;
  onProof: (proof: AbortProof) => void;
  log: Log;
}

export class AbortWatch {
  readonly #options: AbortWatchOptions;
  readonly #pending = new Map<ActiveRequest, { sinceMs: number; looks: number }>();
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(options: AbortWatchOptions) {
    this.#options = options;
  }

  get pending(): number {
    return this.#pending.size;
  }

  /** The agent is done with a request. `engineEnded`: the engine's stream came to an end of its own. */
  landed(flight: ActiveRequest, { engineEnded }: { engineEnded: boolean }): void {
    if (engineEnded) {
      if (flight.aborting !== null) this.#options.onProof('stream');
      return;
    }
    if (!flight.engineTold) return;
    this.#pending.set(flight, { sinceMs: this.#options.now(), looks: 0 });
    this.#schedule();
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  #schedule(): void {
    if (this.#stopped || this.#timer !== undefined || this.#pending.size === 0) return;
    this.#timer = setTimeout(async () => {
      await this.#look();
      this.#timer = undefined;
      this.#schedule();
    }, this.#options.intervalMs);
  }

  /** Counts once for all, and tells the engine again. */
  async #look(): Promise<void> {
    const { inHand, readLoad, boundMs, now, onProof, log } = this.#options;
    const looked = [...this.#pending];
    const before = inHand();
    const load = await readLoad();
    // What began or ended meanwhile may be in the engine's count or not: give it the benefit.
    const known = Math.max(before, inHand());
    const atEngine = load === null ? null : load.running_requests + load.waiting_requests;
    for (const [flight, entry] of looked) {
      entry.looks = atEngine !== null && atEngine <= known ? entry.looks + 1 : 0;
      if (entry.looks >= LOOKS_MIN) {
        this.#pending.delete(flight);
        onProof('count');
      } else if (now() - entry.sinceMs >= boundMs) {
        this.#pending.delete(flight);
        onProof('none');
        log('abort_unproven', { request: flight.claims.jti, at_engine: atEngine, in_hand: known });
      } else flight.stopEngine();
    }
  }
}
