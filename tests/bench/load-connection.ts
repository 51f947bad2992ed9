/** One connection of the load generator: sends one request after the other, and reads, checks and times each answer. */
import { connect, type Socket } from 'node:net';
import { TOKEN } from './workloads.ts';

export interface Sample {
  /** The time from the request's first byte to the answer's last. */
  readonly totalMs: number;
  /** The time to the first byte of the answer's body. */
  readonly firstMs: number;
}

export interface Expected {
  /** The number of tokens in the answer's body. */
  readonly tokens: number;
  readonly stream: boolean;
  readonly reasoning: boolean;
}

const HEAD_END = Buffer.from('\r\n\r\n');
const LINE_END = Buffer.from('\r\n');
/** How streams end: an API's with the first, an agent's that writes the client's dialect with the second. */
const ENDS = ['[DONE]', ': end {'];
const EMPTY = Buffer.alloc(0);
/** Enough for a token or the end of a stream that is split between two reads; an agent's last line has 200 bytes. */
const TAIL_BYTES = 256;
const TIMEOUT_MS = 30_000;

export class Connection {
  readonly #expected: Expected;
  readonly #socket: Socket;
  #reader: AnswerReader | null = null;
  #startedMs = 0;
  #settle: { resolve: (sample: Sample) => void; reject: (error: Error) => void } | null = null;

  private constructor(socket: Socket, expected: Expected) {
    this.#socket = socket;
    this.#expected = expected;
    socket.setNoDelay(true);
    socket.setTimeout(TIMEOUT_MS, () => socket.destroy(new Error(`no answer within ${TIMEOUT_MS} ms`)));
    socket.on('data', (data) => this.#read(data));
    socket.on('error', (error) => this.#settle?.reject(error));
    socket.on('close', () => this.#settle?.reject(new Error('the connection was closed')));
  }

  static open(port: number, expected: Expected): Promise<Connection> {
    return new Promise((resolve, reject) => {
      const socket = connect({ port, host: '127.0.0.1' }, () => {
        socket.off('error', reject);
        resolve(new Connection(socket, expected));
      });
      socket.once('error', reject);
    });
  }

  /** @throws Error when the answer is not the expected one */
  ask(request: Buffer): Promise<Sample> {
    return new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
      this.#reader = new AnswerReader(this.#expected);
      this.#startedMs = performance.now();
      this.#socket.write(request);
    });
  }

  close(): void {
    this.#settle = null;
    this.#socket.destroy();
  }

  #read(data: Buffer): void {
    const reader = this.#reader;
    if (reader === null) return;
    try {
      if (!reader.take(data)) return;
      this.#reader = null;
      const totalMs = performance.now() - this.#startedMs;
      this.#settle?.resolve({ totalMs, firstMs: reader.firstAtMs - this.#startedMs });
    } catch (error) {
      this.#settle?.reject(error as Error);
    }
  }
}

class AnswerReader {
  readonly #expected: Expected;
  #head: Buffer | null = EMPTY;
  #chunked = false;
  /** The bytes that are left of the body, or of the chunk and its line end. */
  #left = 0;
  /** The beginning of a chunk-size line that is not complete. */
  #line = EMPTY;
  #inChunk = false;
  #isLast = false;
  #tokens = 0;
  #tail = '';
  firstAtMs = 0;

  constructor(expected: Expected) {
    this.#expected = expected;
  }

  /** @returns true when the answer is complete. @throws Error that describes what is wrong with the answer */
  take(data: Buffer): boolean {
    let body = data;
    if (this.#head !== null) {
      const all = this.#head.length === 0 ? data : Buffer.concat([this.#head, data]);
      const headEnd = all.indexOf(HEAD_END);
      if (headEnd < 0) {
        this.#head = all;
        return false;
      }
      body = all.subarray(headEnd + HEAD_END.length);
      this.#takeHead(all.toString('latin1', 0, headEnd), body);
      this.#head = null;
    }
    if (body.length > 0 && this.firstAtMs === 0) this.firstAtMs = performance.now();
    const whole = this.#chunked ? this.#takeChunks(body) : this.#takeBytes(body);
    if (whole) this.#check();
    return whole;
  }

  #takeHead(head: string, body: Buffer): void {
    const status = head.slice(9, 12);
    if (status !== '200') throw new Error(`status ${status}: ${body.toString('utf8', 0, 500)}`);
    const length = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1];
    this.#chunked = length === undefined;
    this.#left = Number(length ?? 0);
    if (this.#chunked && !/\r\ntransfer-encoding: *chunked/i.test(head))
      throw new Error(`no length: ${head}`);
  }

  #takeBytes(body: Buffer): boolean {
    this.#left -= body.length;
    this.#countTokens(body);
    return this.#left <= 0;
  }

  #takeChunks(body: Buffer): boolean {
    for (let at = 0; at < body.length; ) {
      if (!this.#inChunk) {
        const lineEnd = body.indexOf(LINE_END, at);
        const split = this.#line.length > 0 || lineEnd < 0;
        if (split) return this.#takeChunks(this.#joined(body.subarray(at)) ?? EMPTY);
        const size = Number.parseInt(body.toString('latin1', at, lineEnd), 16);
        if (Number.isNaN(size)) throw new Error('a chunk without a size');
        this.#isLast = size === 0;
        this.#left = size + LINE_END.length;
        this.#inChunk = true;
        at = lineEnd + LINE_END.length;
      }
      const taken = body.subarray(at, at + this.#left);
      const text = Math.min(taken.length, Math.max(0, this.#left - LINE_END.length));
      this.#countTokens(taken.subarray(0, text));
      at += taken.length;
      this.#left -= taken.length;
      this.#inChunk = this.#left > 0;
      if (!this.#inChunk && this.#isLast) return true;
    }
    return false;
  }

  /** Joins a chunk-size line that was split between reads. @returns null while the line has not ended */
  #joined(rest: Buffer): Buffer | null {
    const all = Buffer.concat([this.#line, rest]);
    const ends = all.indexOf(LINE_END) >= 0;
    this.#line = ends ? EMPTY : all;
    return ends ? all : null;
  }

  #countTokens(body: Buffer): void {
    if (body.length === 0) return;
    const text = body.toString('latin1');
    this.#tokens += count(text) + countAcross(this.#tail, text);
    this.#tail = (this.#tail + text.slice(-TAIL_BYTES)).slice(-TAIL_BYTES);
  }

  #check(): void {
    const { tokens, stream, reasoning } = this.#expected;
    // Tollgate writes each piece of a thought twice, under OpenAI's name and under DeepSeek's.
    const isWhole = this.#tokens === tokens || (reasoning && this.#tokens === 2 * tokens);
    if (!isWhole) {
      throw new Error(`${this.#tokens} tokens instead of ${tokens}, the last of them in: ${this.#tail}`);
    }
    if (stream && !ENDS.some((end) => this.#tail.includes(end)))
      throw new Error(`a stream without an end: ${this.#tail}`);
  }
}

function count(text: string): number {
  let found = 0;
  for (let at = text.indexOf(TOKEN); at >= 0; at = text.indexOf(TOKEN, at + TOKEN.length)) found += 1;
  return found;
}

/** Counts a token that is split between two reads. */
function countAcross(tail: string, text: string): number {
  const part = TOKEN.length - 1;
  return count(tail.slice(-part) + text.slice(0, part));
}
