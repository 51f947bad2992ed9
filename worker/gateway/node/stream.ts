/** The answer of a node's agent as events: chunks, then an end. Whatever else comes is a broken node. */

import { ABORT_PATH } from '../../../gpu-pool/protocol/constants.ts';
import type { NodeChunk } from '../../../gpu-pool/protocol/schemas.ts';
import type { NodeView } from '../../domain/node.ts';
import { SseDecoder } from '../../domain/sse.ts';
import { readNodeChunk, readNodeError, readPiece } from './chunk.ts';
import { type Deadline, Deadlines } from './deadlines.ts';

export type NodeEvent =
  | { kind: 'chunk'; chunk: NodeChunk }
  /** `[DONE]` was seen: the answer is whole */
  | { kind: 'end' }
  | { kind: 'broken'; why: string };

/** The last event of an answer cut by its credit waits for this call; hanging up then stops the engine, too. */
const ABORT_DEADLINE_MS = 3_000;

/** How long an engine that was asked to stop gets to report its final count: less than what waitUntil has left. */
const STOP_DEADLINE_MS = 10_000;
const LATE = 'asked to stop, did not';
const SILENT = 'nothing for too long';
/** A break only where [DONE] has not been. */
const CLOSED = 'closed before [DONE]';

/**
 * Chunks that follow the last ones sooner are taken together: to enter JavaScript and to leave it again costs more than
 * all that is done with a chunk. One choice at less than 200 tokens a second waits for nothing, nor does the end.
 */
const TOGETHER_MS = 5;
/** A node that floods may let no timer ring. */
const TOGETHER_EVENTS_MAX = 500;

export interface NodeStreamOptions {
  readonly headers: () => Promise<Record<string, string>>;
  readonly idleDeadlineMs: number;
  readonly alarm?: Deadline;
}

export class NodeStream {
  readonly node: NodeView;
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #headers: () => Promise<Record<string, string>>;
  readonly #idleDeadlineMs: number;
  readonly #decoder = new SseDecoder();
  readonly #ready: NodeEvent[] = [];
  #isReading = false;
  #isBodyOver = false;
  /** when some of the answer was handed on last */
  #saidAtMs = 0;
  /** ends the wait for bytes, where somebody waits */
  #wake: (why?: string) => void = () => {};
  readonly #alarm: Deadline;
  #stopByMs = Number.POSITIVE_INFINITY;
  #ended = false;

  /** @param options `headers`: of a further call about the same request; `alarm`: set again by whoever uses it next */
  constructor(node: NodeView, body: ReadableStream<Uint8Array>, options: NodeStreamOptions) {
    const { headers, idleDeadlineMs, alarm = new Deadlines().alarm() } = options;
    this.node = node;
    this.#reader = body.getReader();
    this.#headers = headers;
    this.#idleDeadlineMs = idleDeadlineMs;
    this.#alarm = alarm;
  }

  /** The next event, within `deadlineMs` and the idle deadline. After an end or a break it keeps answering the same. */
  async next(deadlineMs = Number.POSITIVE_INFINITY): Promise<NodeEvent> {
    // a node that floods is never silent, so the clock is looked at, too
    if (Date.now() >= this.#stopByMs) return this.#end({ kind: 'broken', why: LATE });
    if (this.#ready.length === 0) await this.#fill(Math.min(deadlineMs, this.#idleDeadlineMs));
    const event = this.#ready.shift()!;
    return event.kind === 'chunk' ? event : this.#end(event);
  }

  /** `first`, and what has come together with it: nobody needs to wait for these chunks one by one. */
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

  /** Asks the agent to stop the engine; the stream then ends with the exact final usage, or breaks when that takes long. */
  async askToStop(): Promise<void> {
    if (this.#ended) return;
    this.#stopByMs = Math.min(this.#stopByMs, Date.now() + STOP_DEADLINE_MS);
    setTimeout(() => {
      this.#stopByMs = 0;
      this.#wake(LATE);
    }, STOP_DEADLINE_MS);
    // the token that began the request lives for a minute or two, the stream may be older
    const headers = await this.#headers();
    const answer = await fetch(this.node.url + ABORT_PATH, {
      method: 'POST',
      headers,
      redirect: 'manual',
      signal: AbortSignal.timeout(ABORT_DEADLINE_MS),
    });
    await answer.body?.cancel();
  }

  /** Hangs up. The agent takes that for an abort, too. */
  async close(): Promise<void> {
    this.#ended = true;
    this.#alarm.clear();
    await this.#reader.cancel().catch(() => undefined);
  }

  #end(event: NodeEvent): NodeEvent {
    this.#ready.unshift(event);
    this.#ready.length = 1;
    if (!this.#ended) void (event.kind === 'end' ? this.#leave() : this.close());
    return event;
  }

  /** Reads the end of the body, so that its connection serves another request; from a node that says more it hangs up. */
  async #leave(): Promise<void> {
    this.#ended = true;
    this.#alarm.set(Date.now() + this.#idleDeadlineMs, () => this.#wake(SILENT));
    await this.#more();
    if (this.#isBodyOver) this.#alarm.clear();
    else await this.close();
  }

  /** Waits until some events are ready, and for those right behind them. */
  async #fill(withinMs: number): Promise<void> {
    // by the clock, not by the last byte: one byte now and then is silence, too
    this.#alarm.set(Date.now() + withinMs, () => this.#wake(SILENT));
    while (this.#ready.length === 0) await this.#more();
    await this.#gather();
    // engines say the prompt's usage by itself, and the first token a moment later
    if (this.#ready.some((event) => event.kind === 'chunk' && event.chunk.choices.length > 0))
      this.#saidAtMs = Date.now();
  }

  async #gather(): Promise<void> {
    // a clock that was set back makes nobody wait
    if (Math.abs(Date.now() - this.#saidAtMs) >= TOGETHER_MS) return;
    let isOver = false;
    this.#alarm.set(this.#saidAtMs + TOGETHER_MS, () => {
      isOver = true;
      this.#wake();
    });
    while (!isOver && this.#ready.length < TOGETHER_EVENTS_MAX && this.#ready.at(-1)!.kind === 'chunk')
      await this.#more();
  }

  /** Waits for bytes, or until it is woken: with a reason that is a break. */
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
    const why = await promise;
    if (why !== undefined) this.#ready.push({ kind: 'broken', why });
  }

  /** Bytes into events, whether somebody waits or not. @param bytes null: there will be none any more */
  #take(bytes: Uint8Array | null, why = CLOSED): void {
    this.#isReading = false;
    this.#isBodyOver = bytes === null && why === CLOSED;
    try {
      if (bytes === null) this.#ready.push({ kind: 'broken', why });
      else for (const data of this.#decoder.push(bytes)) this.#ready.push(toEvent(data));
    } catch (error) {
      this.#ready.push({ kind: 'broken', why: String(error) });
    }
    this.#wake();
  }
}

function toEvent(data: string): NodeEvent {
  if (data === '[DONE]') return { kind: 'end' };
  const piece = readPiece(data);
  if (piece) return { kind: 'chunk', chunk: piece };
  let json: unknown;
  try {
    json = JSON.parse(data);
  } catch {
    return { kind: 'broken', why: 'an event that is not JSON' };
  }
  const chunk = readNodeChunk(json);
  if (chunk) return { kind: 'chunk', chunk };
  return { kind: 'broken', why: readNodeError(json)?.code ?? 'an event outside the protocol' };
}
