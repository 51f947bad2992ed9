/** The posts of one request to the engine: each waits for a place in the engine's queue, and for its first token until a deadline. */
import type { IncomingMessage } from 'node:http';
import type { GenerateRequest } from '../protocol/schemas.ts';
import type { ActiveRequest } from './active-requests.ts';
import { type EngineFailure, openEngine } from './engine-client.ts';
import type { Queued } from './engine-queue.ts';
import type { GenerateContext } from './generate-context.ts';
import type { RunProgress } from './run-progress.ts';
import { type EngineRunResult, explained, failed } from './run-result.ts';
import { fromStatus, isOperatorsMistake } from './sglang/engine-error.ts';
import type { EngineRequest } from './sglang/request.ts';

export class EnginePost {
  readonly #context: GenerateContext;
  readonly #activeRequest: ActiveRequest;
  readonly #request: GenerateRequest;
  readonly #progress: RunProgress;
  /** Whether the request has places in the engine's queue. */
  #inQueue = false;
  /** When the first token must be there, the pass over the prompt included; null: nothing has been posted for it. */
  #firstTokenByMs: number | null = null;
  /** Called when the prompt no longer waits for its first token. */
  #promptBegun: () => void = () => {};

  constructor(
    context: GenerateContext,
    options: { activeRequest: ActiveRequest; request: GenerateRequest; progress: RunProgress },
  ) {
    this.#context = context;
    this.#activeRequest = options.activeRequest;
    this.#request = options.request;
    this.#progress = options.progress;
  }

  /** Waits for room in the engine's queue; returns the result where the request ended before. */
  async enterQueue(): Promise<EngineRunResult | null> {
    const { queue, watch, deadlines } = this.#context;
    const isRunning = this.#activeRequest.aborting === null;
    this.#inQueue = isRunning && queue.enterAtOnce(this.#queued, { limit: watch.queuedMax });
    if (this.#inQueue) return null;
    const deadline = AbortSignal.timeout(deadlines.firstTokenMs);
    const signal = AbortSignal.any([this.#activeRequest.signal, deadline]);
    this.#inQueue = await queue.enter(this.#queued, { limit: watch.queuedMax, signal });
    if (this.#inQueue) return null;
    this.#progress.engineEnded = true;
    return failed(this.#activeRequest, {
      code: 'engine_timeout',
      message: 'The engine’s queue had no room in time.',
    });
  }

  /** Gives back the places in the engine's queue: the request has begun or ended. */
  leaveQueue(): void {
    if (!this.#inQueue) return;
    this.#inQueue = false;
    this.#promptBegun();
    this.#context.queue.leave(this.#queued);
  }

  get #queued(): Queued {
    const { choices: sequences, background } = this.#activeRequest;
    return { sequences, background };
  }

  /** Notes that the prompt no longer waits for its first token. */
  promptBegun(): void {
    this.#promptBegun();
  }

  /** Gives the next post a deadline of its own: it is another request of the engine. */
  renewDeadline(): void {
    this.#firstTokenByMs = null;
  }

  /** Posts to the engine, and has the response taken within the deadline; returns the result where the request has ended. */
  async post<T>(
    { path, body }: EngineRequest,
    take: (response: IncomingMessage) => T | Promise<T>,
  ): Promise<T | EngineRunResult> {
    const { engine, watch, deadlines, now } = this.#context;
    const { prompt_tokens_max: promptMax = Number.POSITIVE_INFINITY } = this.#activeRequest.claims;
    this.#promptBegun = watch.promptSent(promptMax * this.#activeRequest.choices);
    this.#firstTokenByMs ??= now() + deadlines.firstTokenMs;
    const deadline = new AbortController();
    const timer = setTimeout(() => deadline.abort(), Math.max(0, this.#firstTokenByMs - now()));
    this.#activeRequest.setGraceExpiredCallback(() => deadline.abort());
    const response = await openEngine(engine, { method: 'POST', path, body, signal: deadline.signal });
    if ('failure' in response) {
      clearTimeout(timer);
      return this.#unanswered(response);
    }
    const status = response.statusCode ?? 0;
    if (status === 200) {
      const taken = await take(response);
      clearTimeout(timer);
      return deadline.signal.aborted ? this.#unanswered({ failure: 'timeout' }) : taken;
    }
    clearTimeout(timer);
    // The body is not read: it says nothing that the agent may act on.
    response.destroy();
    this.#progress.engineEnded = true;
    if (isOperatorsMistake(status)) watch.inspectSoon();
    const error = fromStatus(status, response.headers['retry-after']);
    return failed(this.#activeRequest, explained(error, this.#request));
  }

  /** The result where the engine gave no response, or not all of it. */
  #unanswered({ failure }: EngineFailure): EngineRunResult {
    // After a reset the request may run on; where the connection was refused nothing runs that could be aborted.
    if (failure !== 'refused') this.#activeRequest.abortAtEngine();
    return failed(
      this.#activeRequest,
      failure === 'timeout'
        ? { code: 'engine_timeout', message: 'The engine sent no first token in time.' }
        : { code: 'engine_failed', message: 'The engine cannot be reached.' },
    );
  }
}
