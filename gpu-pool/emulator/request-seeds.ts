/**
 * The effect of a request's own seed on its answer. An engine without deterministic inference ignores it, and its sampling never
 * repeats; here that shows where a seed is sent. Requests without one get the same text for the same prompt, so that tests
 * can be written.
 */
import type { ChatRequest } from './request.ts';

export class RequestSeeds {
  readonly #repeat: boolean;
  #ignored = 0;

  /** `repeat`: the engine runs with `--enable-deterministic-inference`. */
  constructor({ repeat }: { repeat: boolean }) {
    this.#repeat = repeat;
  }

  /** A text for each answer that is to be another. Greedy answers repeat at every engine. */
  of({ seed, greedy }: Pick<ChatRequest, 'seed' | 'greedy'>): string {
    if (seed === null || greedy) return '';
    if (this.#repeat) return `${seed}`;
    this.#ignored += 1;
    return `${seed}, ignored ${this.#ignored}`;
  }
}
