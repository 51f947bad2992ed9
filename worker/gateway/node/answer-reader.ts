/** Reads an answer on its way to the client, or a whole one: the agent's marks, and the bytes for whoever records them. */
import { MarkReader } from '../../../gpu-pool/answers/mark-reader.ts';
import { READ_BYTES } from './read-pace.ts';

/** Reads of one look. A node that floods the isolate must not keep it here. */
const READS_MAX = 16;

/** The buffer of a read that has ended, for the next one of any request: reads are short, and there are few at a time. */
let spare: ArrayBuffer | null = null;

export class AnswerReader {
  readonly marks = new MarkReader();
  readonly #reader: ReadableStreamBYOBReader;
  readonly #take: (bytes: Uint8Array) => void;
  #reading: Promise<number | null> | null = null;

  /** @param take called with all bytes, which are good for the time of the call */
  constructor(body: ReadableStream<Uint8Array>, take: (bytes: Uint8Array) => void = () => {}) {
    this.#reader = body.getReader({ mode: 'byob' });
    this.#take = take;
  }

  /**
   * Reads what is there, or else waits for the next bytes. Calls before it has ended get the same promise.
   * @returns how much was read; null at the end
   * @throws when the connection breaks, or the agent breaks the protocol
   */
  read(): Promise<number | null> {
    if (this.#reading !== null) return this.#reading;
    const reading = this.#readReady().finally(() => {
      this.#reading = null;
    });
    // A read that nobody waits for any more may break.
    reading.catch(() => undefined);
    this.#reading = reading;
    return reading;
  }

  async #readReady(): Promise<number | null> {
    let total = 0;
    for (let reads = 0; reads < READS_MAX; reads++) {
      const buffer = spare ?? new ArrayBuffer(READ_BYTES);
      spare = null;
      const { done, value } = await this.#reader.read(new Uint8Array(buffer));
      if (done) return total === 0 ? null : total;
      this.marks.push(value);
      this.#take(value);
      total += value.byteLength;
      spare = value.buffer as ArrayBuffer;
      if (value.byteLength < READ_BYTES || this.marks.end !== null) break;
    }
    return total;
  }
}
