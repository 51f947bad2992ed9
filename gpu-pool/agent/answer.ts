/** The HTTP answer to the edge while it is written: its head goes out with the first event. */
import type { ServerResponse } from 'node:http';
import type { NodeChunk, NodeUsage } from '../protocol/schemas.ts';
import { type RequestError, sendError, toNodeError } from './request-error.ts';
import { ResponseWriter } from './response-writer.ts';

const DONE = 'data: [DONE]\n\n';

export class Answer {
  readonly #res: ServerResponse;
  readonly #writer: ResponseWriter;

  /** `onDisconnect` is called when the reader leaves before the end. */
  constructor(res: ServerResponse, options: { readerDeadlineMs: number; onDisconnect(): void }) {
    this.#res = res;
    this.#writer = new ResponseWriter(res, options.readerDeadlineMs);
    res.on('error', () => {});
    res.on('close', () => {
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

  /** Writes an event for each chunk. Resolves when the reader can take more, or has left. */
  chunks(chunks: readonly NodeChunk[]): Promise<void> {
    let text = '';
    for (const chunk of chunks) text += eventOf(chunk);
    return this.#writer.write(text);
  }

  /** Ends a complete answer with [DONE]. */
  done(): void {
    this.#writer.end(DONE);
  }

  /** Ends an aborted answer: a last usage without text, then [DONE]. */
  doneEarly(usage: NodeUsage): void {
    this.#writer.end(eventOf({ choices: [], usage }) + DONE);
  }

  /** Ends a failed answer: as an HTTP status while the head has not gone out, else as an event without [DONE]. */
  fail(error: RequestError): void {
    if (this.started) this.#writer.end(eventOf(toNodeError(error)));
    else sendError(this.#res, error);
  }
}

function eventOf(event: object): string {
  return `data: ${JSON.stringify(event)}\n\n`;
}
