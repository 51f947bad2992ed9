/**
 * An answer as it leaves the agent: a node's chunks go in, and text for the client comes out, with marks for the edge
 * (marks.ts) and no more than the held money pays for. Chunks that it does not pay for wait until the hold grows.
 */
import type { AnswerFormat, Budget } from '../protocol/answer-format.ts';
import { chargeNanoUsd } from '../protocol/charge.ts';
import { NO_USAGE } from '../protocol/constants.ts';
import type { NodeChunk, NodeError, NodeUsage } from '../protocol/schemas.ts';
import { idSuffix, type Tail } from './formatter.ts';
import { streamFormatter, wholeFormatter } from './formatters.ts';
import { type EndLine, endLine, KEEP_ALIVE, markLine } from './marks.ts';
import { OrderedCalls } from './ordered-calls.ts';
import { withoutReasoning } from './without-reasoning.ts';

/** While nothing leaves for the client, marks follow one another at most this often, or after so many tokens. */
const MARK_EVERY_MS = 1_000;
const MARK_EVERY_TOKENS = 256;

export interface Finish {
  /** Usage of all that the engine has generated, delivered or not. */
  readonly generated: NodeUsage;
  readonly nowMs: number;
}

/** The part in which streams and objects differ. */
interface Writer {
  /** The text that leaves at once. */
  chunk(chunk: NodeChunk): string;
  alive(): string;
  close(closing: { usage: NodeUsage; nowMs: number }): { text: string; tail: Tail };
  readonly events: number;
}

export class ReadyAnswer {
  readonly #format: AnswerFormat;
  readonly #writer: Writer;
  readonly #calls: OrderedCalls;
  readonly #budget: Budget | null;
  readonly #startedAtMs: number;
  readonly #lineEnd: string;
  /** The most that the answer may cost. */
  #heldNanoUsd: number;
  /** The cost of all that has left. */
  #spentNanoUsd = 0;
  #delivered: NodeUsage = NO_USAGE;
  #waiting: NodeChunk[] = [];
  /** The last mark: when, and the completion tokens it had; null: none has been written. */
  #marked: { atMs: number; tokens: number } | null = null;

  /** @param budget null: all is paid for */
  constructor(format: AnswerFormat, budget: Budget | null, startedAtMs: number) {
    const { head, calls_max } = format;
    const suffix = idSuffix(head.request_id, null);
    this.#format = format;
    this.#writer = format.stream ? streamFormatter(format) : wholeWriter(format);
    this.#calls = new OrderedCalls((choice, call) => `call_${suffix}_${choice}_${call}`, calls_max);
    this.#budget = budget;
    this.#heldNanoUsd = budget?.held_nano_usd ?? Number.POSITIVE_INFINITY;
    this.#startedAtMs = startedAtMs;
    this.#lineEnd = format.stream ? '\n\n' : '\n';
  }

  /** Whether chunks wait for a larger hold. */
  get isWaiting(): boolean {
    return this.#waiting.length > 0;
  }

  /** The usage of what has left. The prompt counts as soon as the engine has read it. */
  get delivered(): NodeUsage {
    return this.#delivered;
  }

  /** @returns what may leave now, with a mark behind it; empty when nothing may */
  take(chunks: readonly NodeChunk[], nowMs: number): string {
    const waited = this.isWaiting;
    this.#waiting.push(...chunks);
    const text = waited ? '' : this.#release();
    const isNews = text !== '' || (this.isWaiting && !waited) || this.#isMarkDue(nowMs);
    return isNews ? text + this.#mark(nowMs) : '';
  }

  /** The most that the answer may cost: the hold as it was last told, or more, if more had left by then. */
  get heldNanoUsd(): number {
    return this.#heldNanoUsd;
  }

  /** Takes the hold's new size, which may also be smaller. @returns what it pays for, with a mark behind it */
  extend(heldNanoUsd: number, nowMs: number): string {
    this.#heldNanoUsd = Math.max(this.#spentNanoUsd, heldNanoUsd);
    if (!this.isWaiting) return '';
    return this.#release() + this.#mark(nowMs);
  }

  /** A keep-alive with a fresh mark. @param sign as an event of the dialect, where it has one */
  alive(nowMs: number, sign: boolean): string {
    if (!this.#format.stream) return this.#mark(nowMs);
    const event = sign ? this.#writer.alive() : '';
    // The event's block begins with a comment, so that replays leave it out like one.
    return `${KEEP_ALIVE}\n${event || '\n'}${this.#mark(nowMs)}`;
  }

  /** Closes the answer. What still waits is dropped. */
  finish(ended: 'finished' | 'aborted', { generated, nowMs }: Finish): string {
    this.#waiting = [];
    const rest = this.#calls.end();
    const begun = rest === null ? '' : this.#writer.chunk(rest);
    const { text, tail } = this.#writer.close({ usage: this.#delivered, nowMs });
    return begun + text + this.#mark(nowMs) + this.#end({ ended, generated, tail });
  }

  /** Ends an answer that has failed. What is open stays open: a client would run half a call of a tool. */
  fail(error: NodeError['error'], { generated, nowMs }: Finish): string {
    this.#waiting = [];
    return this.#mark(nowMs) + this.#end({ ended: 'failed', error, generated, tail: {} });
  }

  /** Writes the chunks that wait, up to the first that is not paid for. */
  #release(): string {
    let text = '';
    let released = 0;
    for (const chunk of this.#waiting) {
      const usage = advanced(this.#delivered, chunk.usage);
      if (!this.#covers(usage)) {
        // The engine has worked on the prompt.
        const { completion_tokens, reasoning_tokens } = this.#delivered;
        this.#delivered = { ...usage, completion_tokens, reasoning_tokens };
        break;
      }
      this.#delivered = usage;
      const shown = this.#format.exclude_reasoning ? withoutReasoning(chunk) : chunk;
      text += this.#writer.chunk(this.#calls.take(shown));
      released += 1;
    }
    this.#waiting.splice(0, released);
    return text;
  }

  /** Whether the usage is paid for. It counts as spent then. */
  #covers(usage: NodeUsage): boolean {
    if (this.#budget === null) return true;
    const charge = chargeNanoUsd(usage, this.#budget.price);
    if (charge > this.#heldNanoUsd) return false;
    this.#spentNanoUsd = charge;
    return true;
  }

  #isMarkDue(nowMs: number): boolean {
    if (this.#marked === null) return true;
    const { atMs, tokens } = this.#marked;
    return nowMs - atMs >= MARK_EVERY_MS || this.#delivered.completion_tokens - tokens >= MARK_EVERY_TOKENS;
  }

  #mark(nowMs: number): string {
    this.#marked = { atMs: nowMs, tokens: this.#delivered.completion_tokens };
    const [next] = this.#waiting;
    const mark = {
      usage: this.#delivered,
      events: this.#writer.events,
      ms: Math.max(0, Math.round(nowMs - this.#startedAtMs)),
      waiting: next === undefined ? null : advanced(this.#delivered, next.usage).completion_tokens,
    };
    return markLine(mark) + this.#lineEnd;
  }

  #end(end: EndLine): string {
    return endLine(end) + this.#lineEnd;
  }
}

/** Usage after a chunk. A count never goes down. */
function advanced(before: NodeUsage, now: NodeUsage): NodeUsage {
  const completion_tokens = Math.max(before.completion_tokens, now.completion_tokens);
  const { prompt_tokens, cached_tokens } = now.prompt_tokens < before.prompt_tokens ? before : now;
  const reasoning_tokens = Math.max(before.reasoning_tokens, now.reasoning_tokens);
  return { prompt_tokens, cached_tokens, completion_tokens, reasoning_tokens };
}

/** A whole answer leaves as one line at its end. */
function wholeWriter(format: AnswerFormat): Writer {
  const whole = wholeFormatter(format);
  return {
    chunk(chunk) {
      whole.chunk(chunk);
      return '';
    },
    alive: () => '',
    close: (closing) => ({ text: `${JSON.stringify(whole.close(closing))}\n`, tail: {} }),
    events: 0,
  };
}
