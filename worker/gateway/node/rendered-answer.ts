/** Writes the client's answer at the edge, from the chunks of an agent that is too old to write it itself. */
import { KEEP_ALIVE_MS, KeepAliveSigns } from '../../../gpu-pool/answers/keep-alive.ts';
import { ReadyAnswer } from '../../../gpu-pool/answers/ready-answer.ts';
import type { AnswerFormat, Budget } from '../../../gpu-pool/protocol/answer-format.ts';
import { NO_USAGE } from '../../../gpu-pool/protocol/constants.ts';
import type { NodeChunk, NodeError, NodeUsage } from '../../../gpu-pool/protocol/schemas.ts';
import type { NodeCalls } from './calls.ts';
import type { Deadlines } from './deadlines.ts';
import type { NodeAnswer } from './node-answer.ts';
import { type NodeEvent, NodeStream } from './stream.ts';

export interface RenderedOptions {
  readonly format: AnswerFormat;
  readonly budget: Budget;
  readonly calls: NodeCalls;
  readonly hangUp: AbortController;
  readonly deadlines: Deadlines;
  readonly idleDeadlineMs: number;
  /** The completion tokens of all choices together. A count beyond is the node's mistake, and is cut to this. */
  readonly completionTokensMax: number;
}

type RenderedAnswer = { ok: true; answer: NodeAnswer } | { ok: false; error: NodeError['error'] | null };

/** Waits for the first chunk. An answer that fails before it is none. */
export async function renderedAnswer(
  body: ReadableStream<Uint8Array>,
  options: RenderedOptions,
): Promise<RenderedAnswer> {
  const { deadlines, idleDeadlineMs } = options;
  const stream = new NodeStream(body, { deadline: deadlines.newDeadline(), idleDeadlineMs });
  const first = await stream.next();
  if (first.kind === 'chunk') return { ok: true, answer: rendered(stream, first, options) };
  return { ok: false, error: first.kind === 'broken' ? first.error : null };
}

function rendered(
  stream: NodeStream,
  first: NodeEvent,
  { format, budget, calls, hangUp, completionTokensMax }: RenderedOptions,
): NodeAnswer {
  const answer = new ReadyAnswer(format, budget, Date.now());
  const channel = new ByteChannel(() => void stream.close());
  let isAborted = false;
  const signs = new KeepAliveSigns();
  const alive = setInterval(() => {
    if (channel.isQuiet(KEEP_ALIVE_MS)) void channel.write(answer.alive(Date.now(), signs.isDue()));
  }, KEEP_ALIVE_MS);
  const capped = (chunk: NodeChunk) => withUsage(chunk, completionTokensMax);
  const write = (text: string) => channel.write(text);
  render(stream, first, answer, { write, capped, isAborted: () => isAborted })
    .then(() => channel.close())
    .catch(() => channel.break())
    .finally(() => clearInterval(alive));
  return {
    body: channel.body,
    async extend(heldNanoUsd) {
      // Not awaited: it waits for the reader, who may be waiting for this call.
      void channel.write(answer.extend(heldNanoUsd, Date.now()));
      return answer.heldNanoUsd;
    },
    stop() {
      isAborted = true;
      return calls.abort();
    },
    close() {
      clearInterval(alive);
      hangUp.abort();
      void stream.close();
      channel.break();
    },
  };
}

async function render(
  stream: NodeStream,
  first: NodeEvent,
  answer: ReadyAnswer,
  options: {
    write: (text: string) => Promise<void>;
    capped: (chunk: NodeChunk) => NodeChunk;
    isAborted: () => boolean;
  },
): Promise<void> {
  const { write, capped, isAborted } = options;
  let generated: NodeUsage = NO_USAGE;
  for (let event = first; ; event = await stream.next()) {
    const nowMs = Date.now();
    if (event.kind === 'end')
      return write(answer.finish(isAborted() ? 'aborted' : 'finished', { generated, nowMs }));
    if (event.kind === 'broken') {
      const error = event.error ?? { code: 'engine_failed' as const, message: event.reason };
      return write(answer.fail(error, { generated, nowMs }));
    }
    const chunks = stream.withReady(event.chunk).map(capped);
    generated = chunks.at(-1)!.usage;
    await write(answer.take(chunks, nowMs));
  }
}

function withUsage(chunk: NodeChunk, completionTokensMax: number): NodeChunk {
  const { usage } = chunk;
  if (usage.completion_tokens <= completionTokensMax) return chunk;
  const reasoning_tokens = Math.min(usage.reasoning_tokens, completionTokensMax);
  return { ...chunk, usage: { ...usage, completion_tokens: completionTokensMax, reasoning_tokens } };
}

/** Text on its way to a reader of bytes. A write waits until it is read. */
class ByteChannel {
  readonly body: ReadableStream<Uint8Array>;
  #controller!: ReadableByteStreamController;
  readonly #writes: { readonly bytes: Uint8Array; readonly taken: () => void }[] = [];
  /** Ends the reader's wait for the next bytes. */
  #passed: (() => void) | null = null;
  #isClosing = false;
  #isOver = false;
  #writtenMs = Date.now();

  /** @param onLeft called when the reader has left */
  constructor(onLeft: () => void) {
    const source: UnderlyingByteSource = {
      type: 'bytes',
      start: (controller) => {
        this.#controller = controller;
      },
      pull: () =>
        new Promise<void>((passed) => {
          this.#passed = passed;
          this.#pass();
        }),
      cancel: () => {
        this.#end();
        onLeft();
      },
    };
    this.body = new ReadableStream(source, { highWaterMark: 0 }) as ReadableStream<Uint8Array>;
  }

  isQuiet(ms: number): boolean {
    return Date.now() - this.#writtenMs >= ms;
  }

  async write(text: string): Promise<void> {
    if (text === '' || this.#isOver) return;
    this.#writtenMs = Date.now();
    await new Promise<void>((taken) => {
      this.#writes.push({ bytes: new TextEncoder().encode(text), taken });
      this.#pass();
    });
  }

  close(): void {
    this.#isClosing = true;
    this.#pass();
  }

  break(): void {
    if (this.#isOver) return;
    this.#end();
    this.#controller.error(new Error('closed'));
  }

  #pass(): void {
    if (this.#isOver || this.#passed === null) return;
    const next = this.#writes.shift();
    if (next === undefined && !this.#isClosing) return;
    if (next !== undefined) this.#controller.enqueue(next.bytes as Uint8Array<ArrayBuffer>);
    else {
      this.#end();
      this.#controller.close();
      this.#controller.byobRequest?.respond(0);
    }
    next?.taken();
    this.#passed?.();
    this.#passed = null;
  }

  #end(): void {
    this.#isOver = true;
    for (const { taken } of this.#writes.splice(0)) taken();
  }
}
