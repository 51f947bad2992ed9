/** Files of lines, cut into parts of whole lines: what a batch reads and writes without ever holding all of it. */

import { joined } from './bytes.ts';

/** A fraction of an isolate's 128 MB. */
export const PART_BYTES = 4 * 1024 * 1024;
/** A request is no larger either; what comes without any line end is no JSONL. */
export const LINE_BYTES_MAX = PART_BYTES;

const LINE_FEED = 10;

export class PartCutter {
  #waiting: Uint8Array[] = [];
  #waitingBytes = 0;

  /** @returns a part once there is enough for one; 'line_too_long' when there is no line end in it */
  push(bytes: Uint8Array): Uint8Array | 'line_too_long' | null {
    this.#waiting.push(bytes);
    this.#waitingBytes += bytes.byteLength;
    if (this.#waitingBytes < PART_BYTES) return null;
    const all = joined(this.#waiting);
    const end = all.lastIndexOf(LINE_FEED) + 1;
    if (end === 0) return all.byteLength <= LINE_BYTES_MAX ? null : 'line_too_long';
    // a copy: a view would keep the whole part alive
    this.#waiting = [all.slice(end)];
    this.#waitingBytes = all.byteLength - end;
    return all.subarray(0, end);
  }

  /** What is left; null where nothing is. */
  end(): Uint8Array | null {
    const rest = this.#waitingBytes === 0 ? null : joined(this.#waiting);
    this.#waiting = [];
    this.#waitingBytes = 0;
    return rest;
  }
}

/** Where each line of a part begins and ends, without its line end; empty lines are none. */
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
