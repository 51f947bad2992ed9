/**
 * The stream of an agent that sends chunks, as events: chunks, then an end. Anything else means that the node is broken. The
 * canary asks for chunks, and an agent that is too old to write a client's answer sends nothing else.
 */

import type { NodeChunk, NodeError } from '../../../gpu-pool/protocol/schemas.ts';
import { SseDecoder } from '../../domain/sse.ts';
import { readNodeChunk, readNodeError, readTextChunk } from './chunk.ts';
import { type Deadline, Deadlines } from './deadlines.ts';

export type NodeEvent =
  | { kind: 'chunk'; chunk: NodeChunk }
  /** `[DONE]` was received: the answer is complete */
  | { kind: 'end' }
  /** `error`: the agent's own account of what went wrong; null: it gave none */
  | { kind: 'broken'; reason: string; error: NodeError['error'] | null };

const SILENT = 'nothing for too long';
/** An end of the body, which is a break only if `[DONE]` has not been received. */
const CLOSED = 'closed before [DONE]';

/**
 * Chunks that arrive within this time of the last delivery are delivered together: entering and leaving JavaScript costs
 * more than everything that is done with a chunk. An answer of one choice at less than 200 tokens per second is never
 * delayed, nor is the end of any answer.
 */
const COALESCE_MS = 5;
/** Delivery does not rely on the timer alone, because a node that floods the isolate may keep timers from firing. */
const COALESCED_EVENTS_MAX = 500;

export interface NodeStreamOptions {
  readonly idleDeadlineMs: number;
  /** One of the request's deadlines. Its former owner may have set it; the stream sets it again. */
  readonly deadline?: Deadline;
}

export class NodeStream {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #idleDeadlineMs: number;
  readonly #decoder = new SseDecoder();
  readonly #ready: NodeEvent[] = [];
  #isReading = false;
  #isBodyOver = false;
  /** When chunks with text were last delivered. */
  #deliveredAtMs = 0;
  /** Ends a pending wait for bytes; with a reason, the stream is broken. */
  #wake: (reason?: string) => void = () => {};
  readonly #deadline: Deadline;
  #ended = false;

  constructor(body: ReadableStream<Uint8Array>, options: NodeStreamOptions) {
    const { idleDeadlineMs, deadline = new Deadlines().newDeadline() } = options;
    this.#reader = body.getReader();
    this.#idleDeadlineMs = idleDeadlineMs;
    this.#deadline = deadline;
  }

  /** The next event, within `deadlineMs` and the idle deadline. After an end or a break it returns that event again. */
  async next(deadlineMs = Number.POSITIVE_INFINITY): Promise<NodeEvent> {
    if (this.#ready.length === 0) await this.#fill(Math.min(deadlineMs, this.#idleDeadlineMs));
    const event = this.#ready.shift()!;
    return event.kind === 'chunk' ? event : this.#end(event);
  }

  /** `first` and the chunks that are ready behind it, which need not be awaited one by one. */
  withReady(first: NodeChunk): NodeChunk[] {
    const chunks = [first];
    let taken = 0;
    for (const event of this.#ready) {
      if (event.kind !== 'chunk') break;
      chunks.push(event.chunk);
      taken += 1;
    }
    this.#ready.splice(0, taken);
    return chunks;
  }

  /** Closes the connection. The agent treats that as an abort, too. */
  async close(): Promise<void> {
    this.#ended = true;
    this.#deadline.clear();
    await this.#reader.cancel().catch(() => undefined);
  }

  #end(event: NodeEvent): NodeEvent {
    this.#ready.unshift(event);
    this.#ready.length = 1;
    if (!this.#ended) void (event.kind === 'end' ? this.#drain() : this.close());
    return event;
  }

  /**
   * Reads the body to its end, so that the connection can serve another request. If the node sends more after its end event,
   * the connection is closed.
   */
  async #drain(): Promise<void> {
    this.#ended = true;
    this.#deadline.set(Date.now() + this.#idleDeadlineMs, () => this.#wake(SILENT));
    await this.#more();
    if (this.#isBodyOver) this.#deadline.clear();
    else await this.close();
  }

  /** Waits until events are ready, and for those that follow at once. */
  async #fill(withinMs: number): Promise<void> {
    // counted from now rather than from the last byte: a byte now and then does not count as progress
    this.#deadline.set(Date.now() + withinMs, () => this.#wake(SILENT));
    while (this.#ready.length === 0) await this.#more();
    await this.#coalesce();
    // chunks without choices do not count: engines report the prompt's usage by itself and the first token a moment later
    if (this.#ready.some((event) => event.kind === 'chunk' && event.chunk.choices.length > 0))
      this.#deliveredAtMs = Date.now();
  }

  async #coalesce(): Promise<void> {
    // the absolute value, so that a clock that was set back does not delay anything
    if (Math.abs(Date.now() - this.#deliveredAtMs) >= COALESCE_MS) return;
    let isOver = false;
    this.#deadline.set(this.#deliveredAtMs + COALESCE_MS, () => {
      isOver = true;
      this.#wake();
    });
    while (!isOver && this.#ready.length < COALESCED_EVENTS_MAX && this.#ready.at(-1)!.kind === 'chunk')
      await this.#more();
  }

  /** Waits for bytes, or until it is woken; a wake-up with a reason breaks the stream. */
  async #more(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<string | undefined>();
    this.#wake = resolve;
    if (!this.#isReading) {
      this.#isReading = true;
      this.#reader.read().then(
        ({ done, value }) => this.#take(done ? null : value),
        (error: unknown) => this.#take(null, `connection lost: ${String(error)}`),
      );
    }
    const reason = await promise;
    if (reason !== undefined) this.#ready.push(broken(reason));
  }

  /** Decodes bytes into events, whether or not a caller is waiting. @param bytes null: the body has ended */
  #take(bytes: Uint8Array | null, reason = CLOSED): void {
    this.#isReading = false;
    this.#isBodyOver = bytes === null && reason === CLOSED;
    try {
      if (bytes === null) this.#ready.push(broken(reason));
      else for (const data of this.#decoder.push(bytes)) this.#ready.push(toEvent(data));
    } catch (error) {
      this.#ready.push(broken(String(error)));
    }
    this.#wake();
  }
}

function toEvent(data: string): NodeEvent {
  if (data === '[DONE]') return { kind: 'end' };
  const textChunk = readTextChunk(data);
  if (textChunk) return { kind: 'chunk', chunk: textChunk };
  let json: unknown;
  try {
    json = JSON.parse(data);
  } catch {
    return broken('an event that is not JSON');
  }
  const chunk = readNodeChunk(json);
  if (chunk) return { kind: 'chunk', chunk };
  const error = readNodeError(json);
  return broken(error?.code ?? 'an event outside the protocol', error);
}

function broken(reason: string, error: NodeError['error'] | null = null): NodeEvent {
  return { kind: 'broken', reason, error };
}
