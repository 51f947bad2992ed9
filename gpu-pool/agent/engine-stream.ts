/** The engine's bytes as server-sent events, read one `next()` at a time from a bounded queue. */
import type { IncomingMessage } from 'node:http';
import { createParser } from 'eventsource-parser';

export type Frame =
  | { kind: 'event'; data: string }
  /** The engine closed its side properly. */
  | { kind: 'end' }
  /** The connection was reset, or a line was no SSE or too long. */
  | { kind: 'broken' }
  /** Nothing arrived within the wait. */
  | { kind: 'timeout' }
  /** The agent ended the reading. */
  | { kind: 'stopped' };

/** An event is some hundred bytes; a line longer than this comes from a broken engine. */
export const EVENT_BYTES_MAX = 1 << 20;
/** Events parsed ahead of a slow reader before the engine's socket is paused. */
const EVENTS_AHEAD_MAX = 64;

export class EngineStream {
  readonly #response: IncomingMessage;
  readonly #queue: string[] = [];
  #terminal: Frame | null = null;
  #wake: (() => void) | null = null;

  constructor(response: IncomingMessage) {
    this.#response = response;
    const decoder = new TextDecoder();
    let bytesSinceEvent = 0;
    const parser = createParser({
      maxBufferSize: EVENT_BYTES_MAX,
      onEvent: ({ data }) => {
        bytesSinceEvent = 0;
        this.#queue.push(data);
      },
      onError: () => this.#end({ kind: 'broken' }),
    });
    const feed = (text: string) => {
      if (this.#terminal === null) parser.feed(text);
    };
    response.on('data', (bytes: Buffer) => {
      if (this.#terminal !== null) return;
      bytesSinceEvent += bytes.length;
      feed(decoder.decode(bytes, { stream: true }));
      // The parser silently drops lines that cannot be a field, so their length is counted here.
      if (bytesSinceEvent > EVENT_BYTES_MAX) this.#end({ kind: 'broken' });
      if (this.#queue.length > EVENTS_AHEAD_MAX) response.pause();
      this.#notify();
    });
    response.on('end', () => {
      // A last event may lack its blank line; a torn one turns out not to be JSON.
      if (response.complete) feed(`${decoder.decode()}\n\n`);
      this.#end({ kind: response.complete ? 'end' : 'broken' });
    });
    response.on('error', () => this.#end({ kind: 'broken' }));
    response.on('close', () => this.#end({ kind: 'broken' }));
  }

  /** The next event, or why there is none. After the stream has ended, every call returns how it ended. */
  async next(waitMs: number): Promise<Frame> {
    if (this.#queue.length === 0 && this.#terminal === null) await this.#wait(waitMs);
    const data = this.#queue.shift();
    if (data !== undefined) {
      if (this.#queue.length === 0 && this.#response.isPaused()) this.#response.resume();
      return { kind: 'event', data };
    }
    return this.#terminal ?? { kind: 'timeout' };
  }

  /** Ends reading at once; events already queued can still be read. */
  stop(): void {
    this.#end({ kind: 'stopped' });
    this.#response.destroy();
  }

  #wait(waitMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = Number.isFinite(waitMs) ? setTimeout(resolve, Math.max(0, waitMs)) : undefined;
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  #end(frame: Frame): void {
    this.#terminal ??= frame;
    this.#notify();
  }

  /** Wakes the reader. Bytes that complete no event do not end its wait. */
  #notify(): void {
    if (this.#queue.length === 0 && this.#terminal === null) return;
    this.#wake?.();
    this.#wake = null;
  }
}
