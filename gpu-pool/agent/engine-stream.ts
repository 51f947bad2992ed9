/** The engine's bytes as server-sent events: all events of a read at once, from a bounded queue. */
import type { IncomingMessage } from 'node:http';
import { EventText } from './event-text.ts';

export type Frame =
  /** The data of one event or more. */
  | { kind: 'events'; events: readonly string[] }
  /** The engine has sent [DONE]. */
  | { kind: 'done' }
  /** The engine closed its side properly. */
  | { kind: 'end' }
  /** The connection was reset, or a line was no SSE or too long. */
  | { kind: 'broken' }
  /** Nothing arrived within the wait. */
  | { kind: 'timeout' }
  /** The agent ended the reading. */
  | { kind: 'stopped' };
type Ending = Exclude<Frame, { kind: 'events' | 'timeout' }>;

/** Events parsed ahead of a slow reader before the engine's socket is paused. */
const EVENTS_AHEAD_MAX = 64;
/** How long the end of a response may lag behind its [DONE] before its connection is given up. */
const END_MS = 1_000;

export class EngineStream {
  readonly #response: IncomingMessage;
  readonly #text = new EventText();
  #events: string[] = [];
  #ending: Ending | null = null;
  #wake: (() => void) | null = null;
  /** One timer for all waits: it looks at its end whether the wait of then is over, and goes on if it is not. */
  #timer: NodeJS.Timeout | undefined;
  #timerEndsAt = 0;
  #waitEndsAt = Number.POSITIVE_INFINITY;

  constructor(response: IncomingMessage) {
    this.#response = response;
    response.on('data', (bytes: Buffer) => this.#take(bytes));
    response.on('end', () => {
      // A last event may lack its blank line; a torn one turns out not to be JSON.
      if (response.complete) this.#add(this.#text.end());
      this.#end({ kind: response.complete ? 'end' : 'broken' });
    });
    response.on('error', () => this.#end({ kind: 'broken' }));
    response.on('close', () => this.#end({ kind: 'broken' }));
  }

  /** The next events, or why there are none. After the stream has ended, every call returns how it ended. */
  async next(waitMs: number): Promise<Frame> {
    if (this.#events.length === 0 && this.#ending === null) await this.#wait(waitMs);
    if (this.#events.length > 0) {
      const events = this.#events;
      this.#events = [];
      if (this.#response.isPaused()) this.#response.resume();
      return { kind: 'events', events };
    }
    return this.#ending ?? { kind: 'timeout' };
  }

  /** Ends reading at once; events already queued can still be read. A connection whose response is whole is kept. */
  stop(): void {
    const whole = this.#ending?.kind === 'done';
    this.#end({ kind: 'stopped' });
    if (!whole) this.#response.destroy();
    else if (!this.#response.readableEnded) endsSoon(this.#response);
  }

  #take(bytes: Buffer): void {
    if (this.#ending !== null) return;
    this.#add(this.#text.feed(bytes));
    if (this.#text.broken) this.#end({ kind: 'broken' });
    if (this.#events.length > EVENTS_AHEAD_MAX) this.#response.pause();
  }

  #add(events: readonly string[]): void {
    if (this.#ending !== null) return;
    for (const event of events) {
      if (event === '[DONE]') {
        this.#end({ kind: 'done' });
        return;
      }
      this.#events.push(event);
    }
    // Bytes that complete no event do not end the reader's wait.
    if (this.#events.length > 0) this.#notify();
  }

  #end(ending: Ending): void {
    if (this.#ending !== null) return;
    this.#ending = ending;
    clearTimeout(this.#timer);
    this.#notify();
  }

  #notify(): void {
    this.#wake?.();
    this.#wake = null;
  }

  #wait(waitMs: number): Promise<void> {
    this.#waitEndsAt = performance.now() + waitMs;
    const isTimed = this.#timer !== undefined && this.#timerEndsAt <= this.#waitEndsAt;
    if (!isTimed && Number.isFinite(waitMs)) this.#setTimer(waitMs);
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  #setTimer(waitMs: number): void {
    clearTimeout(this.#timer);
    this.#timerEndsAt = performance.now() + waitMs;
    this.#timer = setTimeout(() => this.#timerEnded(), Math.max(0, waitMs));
  }

  #timerEnded(): void {
    this.#timer = undefined;
    if (this.#wake === null) return;
    const leftMs = this.#waitEndsAt - performance.now();
    if (leftMs <= 0) this.#notify();
    else if (Number.isFinite(leftMs)) this.#setTimer(leftMs);
  }
}

/** Reads what follows [DONE], which is nothing but the response's end, so that its connection can be used again. */
function endsSoon(response: IncomingMessage): void {
  const timer = setTimeout(() => response.destroy(), END_MS).unref();
  response.once('close', () => clearTimeout(timer));
  response.resume();
}
