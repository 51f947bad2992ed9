/**
 * How often the edge looks at an answer that passes in native code (../meter.ts). A look reads a branch of the answer's tee, and
 * what it reads before the client has is kept in memory for the client, so nobody may look as often as it likes.
 *
 * The tee does not say how far the client is. But a single read that takes bytes from the node's connection gets
 * `PULLED_BYTES_MAX` at most; a look that got more found them waiting, because the client had them before. Looks that got less
 * may have run ahead, and they add up until one proves the contrary. Beyond `AHEAD_BYTES_MAX` the pauses double, so of an answer
 * whose client has stopped reading at most 256 KB and then 1 KB a second pile up. A client that reads proves it soon: by then
 * more than `PULLED_BYTES_MAX` waits at a look, or its tokens are so slow that a hold lasts for minutes.
 */

/** The size of one read. One that is full has certainly found bytes waiting. */
export const READ_BYTES = 64 * 1024;
/** The most that one read takes from a connection in workerd, whose tee reads 16 KiB at a time. */
const PULLED_BYTES_MAX = 16 * 1024;
/** As far as an answer may run ahead of its reader: several thousand tokens. It is bounded because an isolate has 128 MB. */
const AHEAD_BYTES_MAX = 256 * 1024;

/** Pauses begin short, since a fast engine can use a hold up within moments, and grow to a second. */
const FIRST_MS = 100;
const USUAL_MS = 1_000;
const LONGEST_MS = 16_000;

export class ReadPace {
  #pauseMs = FIRST_MS;
  #aheadBytes = 0;

  /** @param isLow the answer is near the end of what its hold pays for */
  pauseMs(isLow: boolean): number {
    return isLow && this.#aheadBytes <= AHEAD_BYTES_MAX ? FIRST_MS : this.#pauseMs;
  }

  /** @param bytes all that one look has read */
  looked(bytes: number): void {
    this.#aheadBytes = bytes > PULLED_BYTES_MAX ? 0 : this.#aheadBytes + bytes;
    const longestMs = this.#aheadBytes > AHEAD_BYTES_MAX ? LONGEST_MS : USUAL_MS;
    this.#pauseMs = Math.min(longestMs, 2 * this.#pauseMs);
  }
}
