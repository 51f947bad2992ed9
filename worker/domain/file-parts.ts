/**
 * Splits line-based files into parts of whole lines, so that a batch reads
 * and writes them without holding a whole file.
 */

import { concatBytes } from './bytes.ts';

/** Size of a part: 4 MiB, a small fraction of an isolate's 128 MB. */
export const PART_BYTES = 4 * 1024 * 1024;
/** Longest line. A request body is no larger either, and a file with no line end in so much is not JSONL. */
export const LINE_BYTES_MAX = PART_BYTES;

const LINE_FEED = 10;

/** Collects a stream of bytes and gives it back in parts that end at a line end. */
export class PartSplitter {
  #waiting: Uint8Array[] = [];
  #waitingBytes = 0;

  /** @returns a part once enough bytes have come; null until then; 'line_too_long' when they hold no line end */
  push(bytes: Uint8Array): Uint8Array | 'line_too_long' | null {
    this.#waiting.push(bytes);
    this.#waitingBytes += bytes.byteLength;
    if (this.#waitingBytes < PART_BYTES) return null;
    const all = concatBytes(this.#waiting);
    const end = all.lastIndexOf(LINE_FEED) + 1;
    if (end === 0) return all.byteLength <= LINE_BYTES_MAX ? null : 'line_too_long';
    // `slice` copies the rest: a view would keep the whole part in memory.
    this.#waiting = [all.slice(end)];
    this.#waitingBytes = all.byteLength - end;
    return all.subarray(0, end);
  }

  /** Ends the file. @returns the last part, which may lack its line end; null when nothing is left */
  end(): Uint8Array | null {
    const rest = this.#waitingBytes === 0 ? null : concatBytes(this.#waiting);
    this.#waiting = [];
    this.#waitingBytes = 0;
    return rest;
  }
}

/** Byte offsets of each line of a part, without its line end. Blank lines are skipped. */
export function* linesOf(part: Uint8Array): Generator<{ start: number; end: number }> {
  let start = 0;
  while (start < part.byteLength) {
    const at = part.indexOf(LINE_FEED, start);
    const next = at === -1 ? part.byteLength : at + 1;
    const isBlank = part.subarray(start, next).every((byte) => byte <= 32);
    if (!isBlank) yield { start, end: at === -1 ? next : at };
    start = next;
  }
}
