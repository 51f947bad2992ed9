/** How often an answer that has nothing to send is kept alive. */

/** A keep-alive follows so long after the last write, so a disconnect is noticed within a second or two and the engine stopped. */
export const KEEP_ALIVE_MS = 1_000;

/**
 * One keep-alive in so many may be a sign of life as an event: clients count events within minutes (Codex within five), and one
 * of the Responses API repeats the request's instructions and tools, which may be 100 KB.
 */
const SIGN_EVERY = 10;

/** Counts the keep-alives of an answer; the first is a sign of life. */
export class KeepAliveSigns {
  #sinceSign = SIGN_EVERY - 1;

  /** Whether the keep-alive that is sent now may be an event of the dialect. */
  isDue(): boolean {
    this.#sinceSign += 1;
    if (this.#sinceSign < SIGN_EVERY) return false;
    this.#sinceSign = 0;
    return true;
  }
}
