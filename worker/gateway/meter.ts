/**
 * Step 6: reads an answer's usage from the agent's marks while the answer passes to the client, and grows its hold ahead of
 * need. The agent sends nothing that the hold does not pay for, so an answer ends where credit does, at the last covered token.
 */
import type { EndLine, Mark } from '../../gpu-pool/answers/marks.ts';
import type { NodeError, NodeUsage } from '../../gpu-pool/protocol/schemas.ts';
import type { Ending, HoldBound } from '../domain/hold.ts';
import type { NanoUsd } from '../domain/money.ts';
import { fromNodeUsage, NO_USAGE, type Usage } from '../domain/usage.ts';
import type { HoldWindow } from './hold/hold-window.ts';
import type { AnswerReader } from './node/answer-reader.ts';
import type { Deadline } from './node/deadlines.ts';
import type { NodeAnswer } from './node/node-answer.ts';
import { ReadPace } from './node/read-pace.ts';
import type { ClientDisconnect } from './stream/disconnect.ts';

export interface MeteredAnswer {
  readonly ending: Ending;
  /** Usage to bill: of what was delivered or, after a disconnect, of what was generated until the engine stopped. */
  readonly usage: Usage;
  /** Usage as the node counted it, whether or not the hold pays for it. */
  readonly counted: Usage;
  /** the limit that ended the answer, when `ending` is out_of_credit */
  readonly ranOut: HoldBound | null;
  /** what the request could cost at the end */
  readonly heldNanoUsd: NanoUsd;
  /** The agent's error, when `ending` is node_failed; null: it gave none. */
  readonly nodeError: NodeError['error']['code'] | null;
  /** the prompt as the node counted it, when `ending` is implausible */
  readonly countedPrompt: number | null;
  /** The agent's last line; null: it has not come. */
  readonly end: EndLine | null;
}

/**
 * The largest usage that a request can have: its prompt, and the completion tokens of all choices together. A count is never cut to
 * these: a larger prompt is refused, and an answer ends at its completion tokens.
 */
export type TokensMost = Pick<Usage, 'promptTokens' | 'completionTokens'>;

export interface MeterOptions {
  readonly most: TokensMost;
  readonly holdWindow: HoldWindow;
  readonly disconnect: ClientDisconnect;
  /** One of the request's deadlines, for the meter alone. */
  readonly deadline: Deadline;
  /** The agent is never without a mark for so long: it keeps alive. */
  readonly idleDeadlineMs: number;
}

/** Deadline for the end of an answer that was asked to stop; shorter than the 30 s that waitUntil runs after a disconnect. */
const STOP_DEADLINE_MS = 10_000;

export class Meter {
  readonly #answer: NodeAnswer;
  readonly #reader: AnswerReader;
  readonly #options: MeterOptions;
  readonly #pace = new ReadPace();
  #usage = NO_USAGE;
  #mark: Mark | null = null;
  #ranOut: HoldBound | null = null;
  /** The answer passes to the client, and what has passed waits here until the next look. */
  #isPassing = false;
  /** When the meter began to wait for the next mark. Bytes without one are no progress: an agent marks all that it writes. */
  #quietSinceMs: number | null = null;
  /** Once a stop was requested, the time by which the answer must have ended. */
  #stopByMs = Number.POSITIVE_INFINITY;
  /** Ends a pause early. */
  #wake: () => void = () => {};

  constructor(answer: NodeAnswer, reader: AnswerReader, options: MeterOptions) {
    this.#answer = answer;
    this.#reader = reader;
    this.#options = options;
    options.disconnect.listen(() => this.#stop());
  }

  /** Reads on until there is text for the client. @returns how the answer ended if it has none; null: it goes on */
  begin(): Promise<MeteredAnswer | null> {
    return this.#readUntil(() => (this.#reader.marks.last?.events ?? 0) > 0);
  }

  /** Reads to the end. @param isPassing another branch of the answer passes to the client until `passed` is called */
  async finish(isPassing: boolean): Promise<MeteredAnswer> {
    this.#isPassing = isPassing;
    return (await this.#readUntil(() => false))!;
  }

  /** The other branch has ended: all bytes that there are can be read. */
  passed(): void {
    this.#isPassing = false;
    this.#wake();
  }

  async #readUntil(isReached: () => boolean): Promise<MeteredAnswer | null> {
    for (;;) {
      const outcome = (await this.#look()) ?? (isReached() ? null : await this.#more());
      if (outcome !== null || isReached()) return outcome;
    }
  }

  /** Acts on what has been read. @returns how the answer ended; null: it goes on */
  async #look(): Promise<MeteredAnswer | null> {
    const { last: mark, end } = this.#reader.marks;
    if (mark !== null && mark !== this.#mark) {
      this.#mark = mark;
      this.#quietSinceMs = null;
      const usage = advance(this.#usage, mark.usage, this.#options.most);
      if (usage.promptTokens > this.#options.most.promptTokens) return this.#implausible(usage);
      this.#usage = usage;
      // More than was asked for is not paid for, and no agent waits for it.
      if ((mark.waiting ?? 0) > this.#options.most.completionTokens) return this.#broken();
      if (this.#stopByMs === Number.POSITIVE_INFINITY) await this.#cover(mark, end !== null);
    }
    return end === null ? null : this.#ended(end);
  }

  /** Sees to it that the hold pays for the answer so far, and for what waits at the agent. */
  async #cover({ waiting }: Mark, isOver: boolean): Promise<void> {
    const { holdWindow } = this.#options;
    const usage = this.#usage;
    if (waiting === null && holdWindow.coversNow(usage)) {
      if (!isOver) holdWindow.lookAhead(usage);
      return;
    }
    const completionTokens = Math.max(usage.completionTokens, waiting ?? 0);
    if (await holdWindow.covers({ ...usage, completionTokens })) {
      // The agent may not have heard of it.
      if (waiting !== null) await holdWindow.tell();
      return;
    }
    this.#ranOut = holdWindow.boundBy ?? 'insufficient_balance';
    this.#stop();
  }

  /** Waits for more of the answer, and reads it. @returns how the answer ended; null: it goes on */
  async #more(): Promise<MeteredAnswer | null> {
    // An answer that was asked to stop has a deadline, so its end is not paused for.
    if (this.#isPassing && this.#stopByMs === Number.POSITIVE_INFINITY)
      await this.#until(Date.now() + this.#pace.pauseMs(this.#isLow()));
    try {
      const read = this.#reader.read();
      this.#quietSinceMs ??= Date.now();
      const silentAtMs = this.#quietSinceMs + this.#options.idleDeadlineMs;
      for (;;) {
        if (Date.now() >= Math.min(silentAtMs, this.#stopByMs)) return this.#broken();
        const result = await Promise.race([read, this.#until(Math.min(silentAtMs, this.#stopByMs))]);
        if (result === null) return this.#broken();
        if (result !== WOKEN) {
          this.#pace.looked(result);
          return null;
        }
      }
    } catch {
      return this.#broken();
    }
  }

  #isLow(): boolean {
    return this.#mark?.waiting != null || this.#options.holdWindow.isLow(this.#usage);
  }

  async #until(timeMs: number): Promise<typeof WOKEN> {
    const { promise, resolve } = Promise.withResolvers<typeof WOKEN>();
    this.#wake = () => resolve(WOKEN);
    this.#options.deadline.set(timeMs, this.#wake);
    return promise;
  }

  /** Asks the engine to stop. The answer then ends with its exact usage, or breaks if that takes too long. */
  #stop(): void {
    if (this.#stopByMs !== Number.POSITIVE_INFINITY) return;
    this.#stopByMs = Date.now() + STOP_DEADLINE_MS;
    this.#wake();
    // An agent that cannot be asked takes a closed connection for the same; but then it does not say what was generated.
    this.#answer.stop().catch(() => {
      if (this.#ranOut !== null) this.#answer.close();
    });
  }

  async #implausible({ promptTokens }: Usage): Promise<MeteredAnswer> {
    await this.#answer.stop().catch(() => undefined);
    this.#answer.close();
    return this.#outcome('implausible', { countedPrompt: promptTokens });
  }

  /** The connection broke, the agent was silent for too long, or it broke the protocol. */
  async #broken(): Promise<MeteredAnswer> {
    this.#answer.close();
    const { marks } = this.#reader;
    // Marks that had arrived before it broke count.
    if (marks.last !== null && marks.last !== this.#mark)
      this.#usage = advance(this.#usage, marks.last.usage, this.#options.most);
    return this.#outcome(this.#ranOut === null ? 'node_failed' : 'out_of_credit', {});
  }

  async #ended(end: EndLine): Promise<MeteredAnswer> {
    const { disconnect, most, holdWindow } = this.#options;
    if (end.ended === 'failed') return this.#outcome('node_failed', { nodeError: end.error!.code, end });
    if (disconnect.aborted) {
      const generated = advance(this.#usage, end.generated, most);
      if (generated.promptTokens <= most.promptTokens) {
        await holdWindow.covers(generated);
        this.#usage = generated;
      }
    }
    return this.#outcome(this.#ranOut === null ? 'finished' : 'out_of_credit', { end });
  }

  #outcome(ending: Ending, { nodeError = null, countedPrompt = null, end = null }: Partial<MeteredAnswer>) {
    const { disconnect, deadline, holdWindow } = this.#options;
    deadline.clear();
    return {
      ending: disconnect.aborted && ending !== 'implausible' ? ('client_gone' as const) : ending,
      usage: holdWindow.paidPart(this.#usage),
      counted: this.#usage,
      heldNanoUsd: holdWindow.heldNanoUsd,
      ranOut: ending === 'out_of_credit' ? this.#ranOut : null,
      ...{ nodeError, countedPrompt, end },
    };
  }
}

const WOKEN = Symbol('woken');

/** Usage after a mark. Counts that go down are a node's mistake and are ignored; completion ends at what was asked for. */
function advance(before: Usage, reported: NodeUsage, most: TokensMost): Usage {
  const now = fromNodeUsage(reported);
  const completionTokens = Math.max(
    before.completionTokens,
    Math.min(now.completionTokens, most.completionTokens),
  );
  const { promptTokens, cachedTokens } = now.promptTokens < before.promptTokens ? before : now;
  return {
    promptTokens,
    cachedTokens,
    completionTokens,
    reasoningTokens: Math.min(completionTokens, Math.max(before.reasoningTokens, now.reasoningTokens)),
  };
}
