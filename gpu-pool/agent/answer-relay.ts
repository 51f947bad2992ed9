/** Relays the engine's events to the edge, watches their deadlines, and says how the answer ended. */
import type { GenerateRequest, NodeChunk } from '../protocol/schemas.ts';
import type { ActiveRequest } from './active-requests.ts';
import type { Answer } from './answer.ts';
import { contextExceeded } from './context-window.ts';
import type { EngineStream } from './engine-stream.ts';
import type { GenerateContext } from './generate-context.ts';
import type { RequestError } from './request-error.ts';
import type { RunProgress } from './run-progress.ts';
import { type EngineRunResult, explained, failed } from './run-result.ts';
import type { StreamReader } from './sglang/stream.ts';
import { type ThoughtBudget, thoughtLimit } from './thought-budget.ts';

/** The thought has used up its budget, and has been closed. */
interface ThoughtClosed {
  kind: 'thought_closed';
}

/** How long the last usage and [DONE] may lag behind the finish reasons. */
const TAIL_MS = 5_000;

export class AnswerRelay {
  readonly #context: GenerateContext;
  readonly #activeRequest: ActiveRequest;
  readonly #request: GenerateRequest;
  readonly #answer: Answer;
  readonly #reader: StreamReader;
  readonly #progress: RunProgress;
  readonly #onAllBegun: () => void;
  /** When the engine must have stopped, after the agent has ended the last choice. */
  #stopByMs = Number.POSITIVE_INFINITY;
  /** The budget of the thought that is running; null: it has none, or has been closed. */
  #budget: ThoughtBudget | null = null;

  constructor(
    context: GenerateContext,
    options: {
      activeRequest: ActiveRequest;
      request: GenerateRequest;
      answer: Answer;
      reader: StreamReader;
      progress: RunProgress;
      /** Called once the engine has begun every choice. */
      onAllBegun: () => void;
    },
  ) {
    this.#context = context;
    this.#activeRequest = options.activeRequest;
    this.#request = options.request;
    this.#answer = options.answer;
    this.#reader = options.reader;
    this.#progress = options.progress;
    this.#onAllBegun = options.onAllBegun;
  }

  /** Relays one stream of the engine, whose thought has this budget. */
  async relay(stream: EngineStream, budget: ThoughtBudget | null): Promise<EngineRunResult | ThoughtClosed> {
    this.#budget = budget;
    for (;;) {
      // An engine that generates on after an answer has ended is left.
      if (this.#context.now() > this.#stopByMs) return { kind: 'finished' };
      const frame = await stream.next(this.#waitMs());
      switch (frame.kind) {
        case 'events': {
          const chunks: NodeChunk[] = [];
          const result = this.#handleEvents(frame.events, chunks);
          if (chunks.length > 0) await this.#answer.chunks(chunks);
          if (result !== null) return result;
          break;
        }
        case 'timeout': {
          // A reader that takes nothing has a deadline of its own, and the silence is no fault of the engine.
          const { draining } = this.#answer;
          if (draining === null) return this.#timedOut();
          await draining;
          break;
        }
        case 'done':
        case 'end':
          this.#progress.engineEnded = true;
          return this.#streamEnded();
        case 'broken':
        case 'stopped':
          return this.#streamEnded();
      }
    }
  }

  /** The last chunk of an answer that ends here, whatever the engine does. */
  cut(): NodeChunk {
    this.#activeRequest.abortAtEngine();
    return this.#reader.cutAtLimit();
  }

  /** Handles events up to one that ends the answer; returns its result, or null where none does. */
  #handleEvents(events: readonly string[], chunks: NodeChunk[]): EngineRunResult | ThoughtClosed | null {
    for (const [at, event] of events.entries()) {
      const result = this.#handleEvent(event, chunks);
      if (result === null) continue;
      // Tokens that the engine has generated past a closed thought still count.
      if (result.kind === 'thought_closed') for (const late of events.slice(at + 1)) this.#reader.read(late);
      return result;
    }
    return null;
  }

  /**
   * Handles one event; returns the result where the event ends the answer, else null.
   * @param chunks takes what the edge is to have of it
   */
  #handleEvent(data: string, chunks: NodeChunk[]): EngineRunResult | ThoughtClosed | null {
    const reader = this.#reader;
    const step = reader.read(data);
    if (step.kind === 'malformed')
      return this.#failed({ code: 'engine_failed', message: 'The engine sent a malformed frame.' });
    if (step.kind === 'error') {
      this.#progress.engineEnded = true;
      return this.#failed(explained(step.error, this.#request));
    }
    if (reader.allBegun) this.#onAllBegun();
    for (const choice of reader.takeStopped()) this.#stopAtEngine(choice);
    if (step.chunk === null) return null;
    const { usage, choices } = step.chunk;
    this.#progress.note(usage, { text: choices.length > 0 });
    if (this.#activeRequest.aborting !== null) return null;
    const { context_tokens: promptMax = Number.POSITIVE_INFINITY } = this.#activeRequest.claims;
    if (usage.prompt_tokens > promptMax && !this.#answer.started && chunks.length === 0) {
      // The engine gave no count before.
      return this.#failed(contextExceeded(usage.prompt_tokens, promptMax));
    }
    if (reader.isPastClaim) {
      this.#context.metrics.anomaly('overrun');
      chunks.push(this.cut());
      return { kind: 'finished' };
    }
    const spent = this.#overBudget();
    if (this.#budget !== null && spent.length > 0)
      return this.#closeThought(this.#budget, { spent, chunk: step.chunk, chunks });
    // Before the first token another node can still take over, so a mere prompt count does not start the answer.
    if (this.#progress.begun) chunks.push(step.chunk);
    return null;
  }

  /** The choices whose thought goes on although its budget is used up. */
  #overBudget(): number[] {
    if (this.#budget === null) return [];
    const limit = thoughtLimit(this.#budget);
    return Array.from({ length: this.#activeRequest.choices }, (_, choice) => choice).filter(
      (choice) => (this.#reader.openThought(choice) ?? -1) >= limit,
    );
  }

  /** Closes a thought at its budget. A budget that only stands for an effort gives way where the agent cannot keep it. */
  #closeThought(
    budget: ThoughtBudget,
    { spent, chunk, chunks }: { spent: readonly number[]; chunk: NodeChunk; chunks: NodeChunk[] },
  ): EngineRunResult | ThoughtClosed | null {
    if (budget.keeper === 'engine') this.#context.watch.thoughtBudgetIgnored();
    if (budget.closable) {
      const closing = this.#reader.closeThought(thoughtLimit(budget));
      chunks.push({ ...closing, choices: [...chunk.choices, ...closing.choices] });
      return { kind: 'thought_closed' };
    }
    if (this.#request.thinking_budget_hint) {
      this.#budget = null;
      chunks.push(chunk);
      return null;
    }
    if (this.#activeRequest.choices === 1) {
      chunks.push(this.cut());
      return { kind: 'finished' };
    }
    // Each of several choices ends by itself: others may be in their answer.
    const cut = this.#reader.cutAtLimit(spent);
    for (const choice of spent) this.#stopAtEngine(choice);
    chunks.push({ ...cut, choices: [...chunk.choices, ...cut.choices] });
    return null;
  }

  /** The agent has ended a choice; the engine is given time to report how much it has generated until it stops. */
  #stopAtEngine(choice: number): void {
    const { now, deadlines } = this.#context;
    this.#activeRequest.abortChoice(choice);
    if (this.#reader.complete) this.#stopByMs = now() + deadlines.abortGraceMs;
  }

  /** The result where nothing has come in time. */
  #timedOut(): EngineRunResult {
    if (this.#reader.complete) return { kind: 'finished' };
    const message = this.#progress.begun
      ? 'The engine stopped sending tokens.'
      : 'The engine sent no first token in time.';
    return this.#failed({ code: 'engine_timeout', message });
  }

  /** The result once the engine's stream is over. */
  #streamEnded(): EngineRunResult {
    if (this.#activeRequest.aborting === null && !this.#reader.abortedByEngine && this.#reader.complete) {
      return { kind: 'finished' };
    }
    return this.#failed({
      code: 'engine_failed',
      message: 'The engine stopped before its answer was complete.',
    });
  }

  #failed(error: RequestError): EngineRunResult {
    return failed(this.#activeRequest, error);
  }

  #waitMs(): number {
    if (this.#activeRequest.aborting !== null) return Number.POSITIVE_INFINITY;
    const nowMs = this.#context.now();
    return this.#reader.complete
      ? Math.min(TAIL_MS, this.#stopByMs - nowMs)
      : this.#progress.deadlineMs - nowMs;
  }
}
