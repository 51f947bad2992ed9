/**
 * The HTTP answer to the edge while it is written: its head goes out with the first text, and writing pauses while the
 * reader is slow, or the client's money does not reach.
 */
import type { ServerResponse } from 'node:http';
import { KEEP_ALIVE_MS, KeepAliveSigns } from '../answers/keep-alive.ts';
import type { NodeChunk, NodeUsage } from '../protocol/schemas.ts';
import type { AnswerBody } from './answer-body.ts';
import { sendError } from './request-error.ts';
import { ResponseWriter } from './response-writer.ts';
import type { EngineRunResult } from './run-result.ts';

export interface AnswerOptions {
  /** How long a reader may take nothing, and a part of the answer wait for money. */
  readerDeadlineMs: number;
  /** The signal that the request is aborted: what waits for money then waits no longer. Most answers never ask for it. */
  aborted: () => AbortSignal;
  /** Called when the reader leaves before the end. */
  onDisconnect(): void;
}

export class Answer {
  readonly #res: ServerResponse;
  readonly #body: AnswerBody;
  readonly #options: AnswerOptions;
  readonly #writer: ResponseWriter;
  readonly #signs = new KeepAliveSigns();
  #keepAlive: NodeJS.Timeout | undefined;
  /** Something was written since the last look of the keep-alive. */
  #wrote = false;
  /** Wakes whoever waits for a larger hold. */
  #onPaid: () => void = () => {};

  constructor(res: ServerResponse, body: AnswerBody, options: AnswerOptions) {
    this.#res = res;
    this.#body = body;
    this.#options = options;
    this.#writer = new ResponseWriter(res, {
      headers: body.headers,
      readerDeadlineMs: options.readerDeadlineMs,
    });
    res.on('error', () => {});
    res.on('close', () => {
      clearInterval(this.#keepAlive);
      if (!res.writableEnded) options.onDisconnect();
    });
  }

  get started(): boolean {
    return this.#writer.started;
  }

  /** Resolves when the reader takes more again, or has left; null: it takes all so far. */
  get draining(): Promise<void> | null {
    return this.#writer.draining;
  }

  /** Writes what may leave of the chunks. Resolves when more can be taken, or nobody takes it any more. */
  async chunks(chunks: readonly NodeChunk[]): Promise<void> {
    await this.#write(this.#body.take(chunks));
    if (this.#body.isWaiting) await this.#paid();
  }

  /** Takes what the answer may cost. @returns what it may cost now; null: it has no bound */
  extend(heldNanoUsd: number): number | null {
    const extended = this.#body.extend(heldNanoUsd);
    if (extended === null) return null;
    void this.#write(extended.text);
    if (!this.#body.isWaiting) this.#onPaid();
    return extended.heldNanoUsd;
  }

  /** Ends the answer. A failure is an HTTP status while nothing has been written. @param generated its whole usage */
  end(result: EngineRunResult, generated: NodeUsage): void {
    clearInterval(this.#keepAlive);
    if (result.kind === 'failed' && !this.started) sendError(this.#res, result.error);
    else this.#writer.end(this.#body.end(result, generated));
  }

  /** Resolves when the reader can take more, or has left. */
  async #write(text: string): Promise<void> {
    if (text === '') return;
    this.#wrote = true;
    this.#keepAlive ??= setInterval(() => this.#alive(), KEEP_ALIVE_MS);
    await this.#writer.write(text);
  }

  #alive(): void {
    const isSilent = !this.#wrote && !this.#res.writableNeedDrain;
    if (isSilent) void this.#write(this.#body.alive(this.#signs.isDue()));
    // A keep-alive is no reason to leave out the next one.
    this.#wrote = false;
  }

  /** Waits until the client's money reaches for all that is there. Like a slow reader, the edge has a deadline for it. */
  #paid(): Promise<void> {
    const res = this.#res;
    const aborted = this.#options.aborted();
    if (aborted.aborted || res.destroyed) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(() => res.destroy(), this.#options.readerDeadlineMs);
      const done = () => {
        clearTimeout(timer);
        aborted.removeEventListener('abort', done);
        res.off('close', done);
        resolve();
      };
      this.#onPaid = done;
      aborted.addEventListener('abort', done);
      res.on('close', done);
    });
  }
}
