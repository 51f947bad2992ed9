/** The answer of a node's agent as events: chunks, then an end. Whatever else comes is a broken node. */
import { ABORT_PATH, NodeChunk, NodeError } from '../../gpu-pool/protocol.ts';
import type { NodeView } from '../domain/node.ts';
import { SseDecoder } from '../domain/sse.ts';

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

export class NodeStream {
  readonly node: NodeView;
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #sign: () => Promise<string>;
  readonly #idleDeadlineMs: number;
  readonly #decoder = new SseDecoder();
  readonly #ready: NodeEvent[] = [];
  readonly #late = Promise.withResolvers<string>();
  #stopByMs = Number.POSITIVE_INFINITY;
  #ended = false;

  constructor(
    node: NodeView,
    body: ReadableStream<Uint8Array>,
    options: { sign: () => Promise<string>; idleDeadlineMs: number },
  ) {
    this.node = node;
    this.#reader = body.getReader();
    this.#sign = options.sign;
    this.#idleDeadlineMs = options.idleDeadlineMs;
  }

  /** The next event, within `deadlineMs` and the idle deadline. After an end or a break it keeps answering the same. */
  async next(deadlineMs = Number.POSITIVE_INFINITY): Promise<NodeEvent> {
    // a node that floods is never silent, so the clock is looked at, too
    if (Date.now() >= this.#stopByMs) return this.#end({ kind: 'broken', why: LATE });
    // by the clock, not by the last byte: one byte now and then is silence, too
    const byMs = Date.now() + Math.min(deadlineMs, this.#idleDeadlineMs);
    while (this.#ready.length === 0) {
      const read = await this.#read(Math.max(0, byMs - Date.now()));
      if (typeof read === 'string') return this.#end({ kind: 'broken', why: read });
      try {
        for (const data of this.#decoder.push(read)) this.#ready.push(toEvent(data));
      } catch (error) {
        return this.#end({ kind: 'broken', why: String(error) });
      }
    }
    const event = this.#ready.shift()!;
    return event.kind === 'chunk' ? event : this.#end(event);
  }

  /** Asks the agent to stop the engine; the stream then ends with the exact final usage, or breaks when that takes long. */
  async askToStop(): Promise<void> {
    if (this.#ended) return;
    this.#stopByMs = Math.min(this.#stopByMs, Date.now() + STOP_DEADLINE_MS);
    setTimeout(() => this.#late.resolve(LATE), STOP_DEADLINE_MS);
    // the token that began the request lives for a minute, the stream may be older
    const token = await this.#sign();
    const answer = await fetch(this.node.url + ABORT_PATH, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}` },
      redirect: 'manual',
      signal: AbortSignal.timeout(ABORT_DEADLINE_MS),
    });
    await answer.body?.cancel();
  }

  /** Hangs up. The agent takes that for an abort, too. */
  async close(): Promise<void> {
    this.#ended = true;
    await this.#reader.cancel().catch(() => undefined);
  }

  #end(event: NodeEvent): NodeEvent {
    this.#ready.unshift(event);
    this.#ready.length = 1;
    if (!this.#ended) void this.close();
    return event;
  }

  async #read(deadlineMs: number): Promise<Uint8Array | string> {
    const { promise: silence, resolve } = Promise.withResolvers<string>();
    const timer = setTimeout(() => resolve(`nothing for ${deadlineMs} ms`), deadlineMs);
    try {
      const read = await Promise.race([this.#reader.read(), silence, this.#late.promise]);
      if (typeof read === 'string') return read;
      return read.done ? 'closed before [DONE]' : read.value;
    } catch (error) {
      return `connection lost: ${String(error)}`;
    } finally {
      clearTimeout(timer);
    }
  }
}

function toEvent(data: string): NodeEvent {
  if (data === '[DONE]') return { kind: 'end' };
  let json: unknown;
  try {
    json = JSON.parse(data);
  } catch {
    return { kind: 'broken', why: 'an event that is not JSON' };
  }
  const chunk = NodeChunk.safeParse(json);
  if (chunk.success) return { kind: 'chunk', chunk: chunk.data };
  const error = NodeError.safeParse(json);
  return { kind: 'broken', why: error.success ? error.data.error.code : 'an event outside the protocol' };
}
