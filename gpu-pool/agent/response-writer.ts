/**
 * Writes an answer to the edge. What is written within one turn of the event loop leaves as one write at its end, and
 * an answer that ends in its first turn leaves with its head as one: a write of its own costs as much as ten events.
 */
import type { ServerResponse } from 'node:http';

/** Headers of every answer. */
const HEAD = {
  'cache-control': 'no-store',
  // Without this header an nginx in front of the agent would collect tokens before it passes them on.
  'x-accel-buffering': 'no',
};

export class ResponseWriter {
  readonly #res: ServerResponse;
  readonly #head: Readonly<Record<string, string>>;
  readonly #readerDeadlineMs: number;
  /** Text that waits for the end of the turn. */
  #text = '';
  #started = false;
  #flushing: NodeJS.Immediate | undefined;
  /** Until the reader takes more; null: it does. */
  #draining: Promise<void> | null = null;

  /**
   * @param options.headers what the answer has beside the headers of every one
   * @param options.readerDeadlineMs how long a reader may take nothing
   */
  constructor(
    res: ServerResponse,
    options: { headers: Readonly<Record<string, string>>; readerDeadlineMs: number },
  ) {
    this.#res = res;
    this.#head = { ...HEAD, ...options.headers };
    this.#readerDeadlineMs = options.readerDeadlineMs;
  }

  /** Whether anything has been written, so that no status can be sent any more. */
  get started(): boolean {
    return this.#started;
  }

  /** Resolves when the reader takes more again, or has left; null: it takes all so far. */
  get draining(): Promise<void> | null {
    return this.#draining;
  }

  /** Resolves when the reader can take more, or has left. */
  async write(text: string): Promise<void> {
    this.#started = true;
    this.#text += text;
    this.#flushing ??= setImmediate(() => this.#flush());
    if (this.#draining !== null) await this.#draining;
  }

  end(text: string): void {
    clearImmediate(this.#flushing);
    this.#started = true;
    if (this.#res.destroyed) return;
    const rest = this.#text + text;
    this.#text = '';
    if (!this.#res.headersSent)
      this.#res.writeHead(200, { ...this.#head, 'content-length': Buffer.byteLength(rest) });
    this.#res.end(rest);
  }

  #flush(): void {
    this.#flushing = undefined;
    const text = this.#text;
    this.#text = '';
    if (this.#res.destroyed) return;
    if (!this.#res.headersSent) this.#res.writeHead(200, this.#head);
    if (!this.#res.write(text)) this.#draining ??= this.#drained();
  }

  /**
   * Waits until the reader can take more. SGLang keeps the text in memory while its socket is paused, so the wait
   * has a deadline.
   */
  #drained(): Promise<void> {
    const res = this.#res;
    return new Promise((resolve) => {
      const timer = setTimeout(() => res.destroy(), this.#readerDeadlineMs);
      const done = () => {
        clearTimeout(timer);
        res.off('drain', done);
        res.off('close', done);
        this.#draining = null;
        resolve();
      };
      res.on('drain', done);
      res.on('close', done);
    });
  }
}
