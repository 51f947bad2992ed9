/**
 * The HTTP answer to the edge while it is written: its head goes out with the first event, and writing pauses while
 * the reader is slow.
 */
import type { ServerResponse } from 'node:http';
import type { NodeChunk, NodeUsage } from '../protocol/schemas.ts';
import { type RequestError, sendError, toNodeError } from './request-error.ts';

export class Answer {
  readonly #res: ServerResponse;
  readonly #readerDeadlineMs: number;

  /** `onDisconnect` is called when the reader leaves before the end. */
  constructor(res: ServerResponse, options: { readerDeadlineMs: number; onDisconnect(): void }) {
    this.#res = res;
    this.#readerDeadlineMs = options.readerDeadlineMs;
    res.on('error', () => {});
    res.on('close', () => {
      if (!res.writableEnded) options.onDisconnect();
    });
  }

  get started(): boolean {
    return this.#res.headersSent;
  }

  /** Writes an event for each chunk, all at once. Resolves when the reader can take more, or has left. */
  async chunks(chunks: readonly NodeChunk[]): Promise<void> {
    this.#begin();
    if (!this.#send(chunks)) await this.#drained();
  }

  /** Ends a complete answer with [DONE]. */
  done(): void {
    this.#begin();
    if (!this.#res.destroyed) this.#res.end('data: [DONE]\n\n');
  }

  /** Ends an aborted answer: a last usage without text, then [DONE]. */
  doneEarly(usage: NodeUsage): void {
    this.#begin();
    this.#send([{ choices: [], usage }]);
    this.done();
  }

  /** Ends a failed answer: as an HTTP status while the head has not gone out, else as an event without [DONE]. */
  fail(error: RequestError): void {
    if (!this.started) {
      sendError(this.#res, error);
    } else if (!this.#res.destroyed) {
      this.#send([toNodeError(error)]);
      this.#res.end();
    }
  }

  #begin(): void {
    if (this.#res.headersSent || this.#res.destroyed) return;
    this.#res.writeHead(200, {
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store',
      // Without this header an nginx in front of the agent would collect tokens before it passes them on.
      'x-accel-buffering': 'no',
    });
  }

  #send(events: readonly object[]): boolean {
    if (this.#res.destroyed) return true;
    return this.#res.write(events.map((event) => `data: ${JSON.stringify(event)}\n\n`).join(''));
  }

  /**
   * Waits until the reader can take more. SGLang keeps the text in memory while its socket is paused, so the wait
   * has a deadline.
   */
  #drained(): Promise<void> {
    const res = this.#res;
    if (res.destroyed) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(() => res.destroy(), this.#readerDeadlineMs);
      const done = () => {
        clearTimeout(timer);
        res.off('drain', done);
        res.off('close', done);
        resolve();
      };
      res.on('drain', done);
      res.on('close', done);
    });
  }
}
