/**
 * Reads the agent's marks out of an answer that passes in native code, a second's bytes at a time. It looks at the ends of
 * lines only, from the last one back to the last mark, so its cost hardly grows with the answer.
 */
import { type EndLine, type Mark, readLine } from './marks.ts';

const LF = 10;
const COLON = 58;
/** Longest line from the agent: that of an end, whose tail may repeat a text's last token with its alternatives. */
const LINE_BYTES_MAX = 1 << 20;

export class MarkReader {
  readonly #utf8 = new TextDecoder();
  #last: Mark | null = null;
  #end: EndLine | null = null;
  #broken: unknown = null;
  /** The bytes of a line from the agent whose end has not come. */
  #begun: Uint8Array[] = [];
  #begunBytes = 0;
  #isInLine = false;
  /** The line that is not complete is one of ours. */
  #isOurs = false;

  /** The latest mark. */
  get last(): Mark | null {
    return this.#last;
  }

  get end(): EndLine | null {
    return this.#end;
  }

  /** @throws RangeError when a line of the agent's breaks the protocol; the marks before it have been read all the same */
  push(bytes: Uint8Array): void {
    this.#take(bytes);
    if (this.#broken !== null) throw this.#broken;
  }

  #take(bytes: Uint8Array): void {
    const first = bytes.indexOf(LF);
    if (first < 0) {
      this.#begin(bytes);
      return;
    }
    this.#begin(bytes.subarray(0, first));
    const ahead = this.#isOurs ? this.#takeBegun() : null;
    this.#isInLine = false;
    const last = bytes.lastIndexOf(LF);
    // All complete lines but the first, as far back as the last mark.
    const isMarked = this.#readBack(bytes, first + 1, last);
    if (ahead !== null && !isMarked) this.#read(ahead);
    this.#begin(bytes.subarray(last + 1));
  }

  /** Keeps the next bytes of the line that has begun, if it is one of ours. */
  #begin(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    if (!this.#isInLine) {
      this.#isInLine = true;
      this.#isOurs = bytes[0] === COLON;
    }
    if (!this.#isOurs) return;
    this.#begunBytes += bytes.length;
    if (this.#begunBytes > LINE_BYTES_MAX) throw new RangeError('a line of the agent is too long');
    // A copy: the caller may read into the same buffer again.
    this.#begun.push(bytes.slice());
  }

  #takeBegun(): string {
    const text = this.#begun.map((part) => this.#utf8.decode(part, { stream: true })).join('');
    this.#begun = [];
    this.#begunBytes = 0;
    this.#isOurs = false;
    return text + this.#utf8.decode();
  }

  /** Reads lines from the last one back to the last mark, all within `from` and `to`. @returns whether there is a mark */
  #readBack(bytes: Uint8Array, from: number, to: number): boolean {
    for (let end = to; end > from; ) {
      const start = bytes.lastIndexOf(LF, end - 1) + 1;
      if (bytes[start] === COLON && this.#read(this.#utf8.decode(bytes.subarray(start, end)))) return true;
      end = start - 1;
    }
    return false;
  }

  /** @returns whether the line is a mark */
  #read(line: string): boolean {
    let read: ReturnType<typeof readLine>;
    try {
      read = readLine(line);
    } catch (error) {
      this.#broken = error;
      return false;
    }
    if (read === null) return false;
    if ('end' in read) {
      this.#end = read.end;
      return false;
    }
    this.#last = read.mark;
    return true;
  }
}
