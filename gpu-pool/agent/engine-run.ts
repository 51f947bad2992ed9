/**
 * One request at the engine: posts it, watches the deadlines, relays tokens to the edge, and determines how it
 * ended.
 */
import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { GenerateRequest, NodeChunk, NodeUsage, Receipt } from '../protocol/schemas.ts';
import type { ActiveRequest } from './active-requests.ts';
import type { Answer } from './answer.ts';
import { contextExceeded, contextTooShort, fitContext } from './context-window.ts';
import { type EngineFailure, openEngine, readSmall } from './engine-client.ts';
import type { Queued } from './engine-queue.ts';
import { EngineStream } from './engine-stream.ts';
import type { GenerateContext } from './generate-context.ts';
import { isRequestError, type RequestError } from './request-error.ts';
import { wantsJson } from './sglang/answer-format.ts';
import { fromStatus, isOperatorsMistake, whatToCheck } from './sglang/engine-error.ts';
import {
  type EngineRequest,
  maxTokensPerChoice,
  promptPassId,
  toEngineRequest,
  toPromptPass,
  type Wanted,
} from './sglang/request.ts';
import { StreamReader } from './sglang/stream.ts';
import { tokenizePrompt, tokenizeText } from './sglang/tokenize.ts';
import { wantedAnswer } from './sglang/wanted.ts';
import { type ThoughtBudget, thoughtBudget, thoughtLimit } from './thought-budget.ts';

export type EngineRunResult =
  | { kind: 'finished' }
  | { kind: 'aborted' }
  | { kind: 'failed'; error: RequestError };

/** A request as it fits the model's context, and how its answer is asked for. */
interface Fitted {
  request: GenerateRequest;
  wanted: Wanted;
  /** Null: the thought has none. */
  budget: ThoughtBudget | null;
}

/** The thought has used up its budget, and has been closed. */
interface ThoughtClosed {
  kind: 'thought_closed';
}

/** The journal records the progress of a request at most this often. */
const JOURNAL_INTERVAL_MS = 1_000;
/** How long the last usage and [DONE] may lag behind the finish reasons. */
const TAIL_MS = 5_000;

/** Runs one request at the engine and relays its answer; `receipt` is valid once `execute` has resolved. */
export class EngineRun {
  readonly #context: GenerateContext;
  readonly #activeRequest: ActiveRequest;
  readonly #request: GenerateRequest;
  readonly #seq: number;
  readonly #answer: Answer;
  readonly #reader: StreamReader;
  #firstTokenAtMs: number | null = null;
  #progressAtMs: number;
  #journaledAtMs: number;
  #engineEnded = false;
  /** When the engine must have stopped, after the agent has ended the last choice. */
  #stopByMs = Number.POSITIVE_INFINITY;
  /** Whether the request has places in the engine's queue. */
  #inQueue = false;
  /** When the first token must be there, the pass over the prompt included; null: nothing has been posted for it. */
  #firstTokenByMs: number | null = null;
  /** Whether the engine has been sent the request. */
  #asked = false;
  /** The budget of the thought that is running; null: it has none, or has been closed. */
  #budget: ThoughtBudget | null = null;
  /** Called when the prompt no longer waits for its first token. */
  #promptBegun: () => void = () => {};

  constructor(
    context: GenerateContext,
    options: { activeRequest: ActiveRequest; request: GenerateRequest; seq: number; answer: Answer },
  ) {
    this.#context = context;
    this.#activeRequest = options.activeRequest;
    this.#request = options.request;
    this.#seq = options.seq;
    this.#answer = options.answer;
    this.#progressAtMs = options.activeRequest.startedAtMs;
    this.#journaledAtMs = options.activeRequest.startedAtMs;
    this.#reader = new StreamReader({
      choices: options.request.n ?? 1,
      maxTokens: options.activeRequest.claims.max_tokens,
      json: wantsJson(options.request),
      stop: options.request.stop ?? [],
      oneCall: options.request.parallel_tool_calls === false,
      newCallId: () => `call_${randomUUID().replaceAll('-', '').slice(0, 24)}`,
      onChoiceId: (choice, id) => options.activeRequest.nameChoice(choice, id),
      onAnomaly: (kind) => context.metrics.anomaly(kind),
    });
  }

  async execute(): Promise<EngineRunResult> {
    const fitted = await this.#fit();
    if ('kind' in fitted) return fitted;
    const refused = await this.#enterQueue();
    if (refused !== null) return refused;
    try {
      return await this.#generate(fitted);
    } finally {
      this.#leaveQueue();
    }
  }

  async #generate(fitted: Fitted): Promise<EngineRunResult> {
    this.#reader.readAs(fitted.wanted.format);
    if (fitted.budget?.closable) this.#reader.keepText();
    const { choices } = this.#activeRequest;
    const passes = choices > 1 || fitted.request.prompt_only;
    const ended = passes ? await this.#passPrompt(fitted) : null;
    if (ended !== null) return ended;
    if (fitted.request.prompt_only) return this.#endAtPrompt();
    const result = await this.#run(fitted, this.#activeRequest.claims.jti);
    return result.kind === 'thought_closed' ? this.#goOn(fitted) : result;
  }

  /** Runs a request of the engine. @param rid its id there */
  async #run(fitted: Fitted, rid: string): Promise<EngineRunResult | ThoughtClosed> {
    this.#budget = fitted.budget;
    const stream = await this.#openStream(fitted, rid);
    if ('kind' in stream) return stream;
    this.#activeRequest.setGraceExpiredCallback(() => stream.stop());
    const result = await this.#relay(stream);
    if (result.kind === 'failed') this.#activeRequest.abortAtEngine();
    if (result.kind === 'thought_closed') await this.#stopped(stream);
    stream.stop();
    return result;
  }

  /** Stops the engine and reads how much it has generated until then. */
  async #stopped(stream: EngineStream): Promise<void> {
    const { now, deadlines } = this.#context;
    this.#activeRequest.abortAtEngine();
    const untilMs = now() + deadlines.abortGraceMs;
    for (;;) {
      const frame = await stream.next(Math.max(0, untilMs - now()));
      if (frame.kind !== 'event' || frame.data === '[DONE]') return;
      this.#reader.read(frame.data);
    }
  }

  /** Has the engine go on behind the closed thought, as a request of its own whose prompt is all that there is so far. */
  async #goOn({ request, wanted }: Fitted): Promise<EngineRunResult> {
    const { engine, watch } = this.#context;
    const modelPath = watch.info.model_path;
    this.#reader.goOn();
    const made = this.#usage.completion_tokens;
    const max_tokens = request.max_tokens - made;
    const min_tokens = Math.max(0, (request.min_tokens ?? 0) - made) || undefined;
    // The thought has used up the answer's tokens, too, and no engine takes a request for none.
    if (max_tokens <= 0) return this.#cut();
    const promptIds = wanted.promptIds ?? (await tokenizePrompt(engine, request, modelPath));
    const textIds = await tokenizeText(engine, this.#reader.text, modelPath);
    if (promptIds === null || textIds === null)
      return this.#failed('engine_failed', 'The engine cannot go on behind a closed thought.');
    if (this.#activeRequest.aborting !== null) return this.#failed('engine_failed', '');
    this.#firstTokenByMs = null;
    // Not the first request's id as a prefix: a late abort of that one would match it (scheduler.py, `abort_request`).
    const rid = `answer-${this.#activeRequest.claims.jti}`;
    this.#activeRequest.goOnAs(rid);
    const refused = await this.#enterQueue();
    if (refused !== null) return refused;
    const next = { format: wanted.format, promptIds: [...promptIds, ...textIds], engineBudget: null };
    const result = await this.#run(
      { request: { ...request, max_tokens, min_tokens }, wanted: next, budget: null },
      rid,
    );
    return result.kind === 'thought_closed' ? this.#failed('engine_failed', '') : result;
  }

  receipt(result: EngineRunResult): Receipt {
    const { claims, startedAtMs } = this.#activeRequest;
    const ttftMs = this.#firstTokenAtMs === null ? null : Math.max(0, this.#firstTokenAtMs - startedAtMs);
    return {
      seq: this.#seq,
      request_id: claims.jti,
      account_id: claims.sub,
      model: claims.model,
      started_at_ms: startedAtMs,
      ended_at_ms: Math.max(startedAtMs, this.#context.now()),
      ttft_ms: ttftMs,
      outcome: result.kind,
      usage: this.#usage,
      // JSON leaves out what is undefined.
      overrun_tokens: this.#reader.overrunTokens || undefined,
      over_budget_tokens: this.#reader.overBudgetTokens || undefined,
      ticket: claims.ticket,
    };
  }

  /** Whether the engine itself ended its answer, and so has nothing left to stop. */
  get engineEnded(): boolean {
    return this.#engineEnded;
  }

  get #usage(): NodeUsage {
    return this.#reader.usage;
  }

  /** The request as it fits the model's context, or the result where it cannot. The engine has not received it yet. */
  async #fit(): Promise<Fitted | EngineRunResult> {
    const { watch } = this.#context;
    const { claims } = this.#activeRequest;
    if (claims.context_tokens !== undefined) watch.sellsContext(claims.context_tokens);
    const request = { ...this.#request, max_tokens: maxTokensPerChoice(this.#request, claims) };
    const fitted = contextTooShort(watch.roomTokens, claims) ?? (await this.#prepare(request));
    if (!isRequestError(fitted)) return fitted;
    this.#engineEnded = true;
    return this.#failed(fitted);
  }

  async #prepare(request: GenerateRequest): Promise<Fitted | RequestError> {
    const { engine, watch } = this.#context;
    const { claims } = this.#activeRequest;
    const { parsers, roomTokens } = watch;
    const modelPath = watch.info.model_path;
    const wanted = await wantedAnswer(engine, request, { parsers, modelPath });
    if (isRequestError(wanted)) return wanted;
    const promptTokens = wanted.promptIds?.length ?? null;
    const fitted = await fitContext({ engine, modelPath, roomTokens }, request, claims, promptTokens);
    if (isRequestError(fitted)) return fitted;
    const { format } = wanted;
    const budget = request.prompt_only
      ? null
      : thoughtBudget(request, { format, engineKeeps: watch.keepsThoughtBudgets });
    if (budget !== null && isRequestError(budget)) return budget;
    // The engine counts the tag that closes the thought beside its budget, and bills it as reasoning.
    const engineBudget = budget?.keeper === 'engine' ? Math.max(1, budget.tokens - 1) : null;
    return {
      request: { ...request, max_tokens: fitted.maxTokens },
      wanted: { ...wanted, engineBudget },
      budget,
    };
  }

  /** Waits for room in the engine's queue; returns the result where the request ended before. */
  async #enterQueue(): Promise<EngineRunResult | null> {
    const { queue, watch, deadlines } = this.#context;
    const deadline = AbortSignal.timeout(deadlines.firstTokenMs);
    const signal = AbortSignal.any([this.#activeRequest.signal, deadline]);
    this.#inQueue = await queue.enter(this.#queued, { limit: watch.queuedMax, signal });
    if (this.#inQueue) return null;
    this.#engineEnded = true;
    return this.#failed('engine_timeout', 'The engine’s queue had no room in time.');
  }

  #leaveQueue(): void {
    if (!this.#inQueue) return;
    this.#inQueue = false;
    this.#promptBegun();
    this.#context.queue.leave(this.#queued);
  }

  get #queued(): Queued {
    const { choices: sequences, background } = this.#activeRequest;
    return { sequences, background };
  }

  /**
   * Has the engine pass over the prompt once before it begins several choices, because only that pass says how much was
   * cached. The prompt is computed no oftener for it: the engine's own first pass finds it in the cache.
   * @returns the result where the request has ended with it
   */
  async #passPrompt({ request, wanted }: Fitted): Promise<EngineRunResult | null> {
    const rid = promptPassId(this.#activeRequest.claims.jti);
    const { model_path: modelPath } = this.#context.watch.info;
    this.#activeRequest.promptPassBegins(rid);
    const body = await this.#post(toPromptPass(request, { rid, modelPath, wanted }), async (response) => ({
      answer: await readSmall(response),
    }));
    if ('kind' in body) return body;
    this.#promptBegun();
    const passed = this.#reader.readPromptPass(body.answer);
    if (!passed || this.#activeRequest.aborting !== null) {
      // A whole answer is its request's end; after anything else the pass may run on.
      this.#engineEnded = body.answer !== null;
      if (!this.#engineEnded) this.#activeRequest.abortAtEngine();
      return this.#failed('engine_failed', 'The engine stopped before it had read the prompt.');
    }
    this.#activeRequest.promptPassEnds();
    this.#context.watch.tokenSeen();
    return null;
  }

  /** Ends a request of nothing but its prompt. The one token that the engine has made of it is nobody's. */
  async #endAtPrompt(): Promise<EngineRunResult> {
    this.#engineEnded = true;
    const { prompt_tokens: counted } = this.#usage;
    const { context_tokens: most = Number.POSITIVE_INFINITY } = this.#activeRequest.claims;
    if (counted > most) return this.#failed(contextExceeded(counted, most));
    await this.#answer.chunk(this.#reader.cutAtLimit());
    return { kind: 'finished' };
  }

  /**
   * Posts the request. Returns the stream, or the result where it has ended already. SGLang holds the response head
   * back until the first token.
   */
  #openStream({ request, wanted }: Fitted, rid: string): Promise<EngineStream | EngineRunResult> {
    const { model_path: modelPath } = this.#context.watch.info;
    return this.#post(toEngineRequest(request, { rid, modelPath, wanted }), (response) => {
      if (/^text\/event-stream\b/i.test(response.headers['content-type'] ?? ''))
        return new EngineStream(response);
      response.destroy();
      this.#activeRequest.abortAtEngine();
      return this.#failed('engine_failed', 'The engine’s response is not an event stream.');
    });
  }

  /** Posts to the engine, and has the response taken within the deadline; returns the result where the request has ended. */
  async #post<T>(
    { path, body }: EngineRequest,
    take: (response: IncomingMessage) => T | Promise<T>,
  ): Promise<T | EngineRunResult> {
    const { engine, watch, deadlines, now } = this.#context;
    this.#asked = true;
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
    this.#engineEnded = true;
    if (isOperatorsMistake(status)) watch.inspectSoon();
    return this.#failed(fromStatus(status, response.headers['retry-after']));
  }

  /** The result where the engine gave no response, or not all of it. */
  #unanswered({ failure }: EngineFailure): EngineRunResult {
    // After a reset the request may run on; where the connection was refused nothing runs that could be aborted.
    if (failure !== 'refused') this.#activeRequest.abortAtEngine();
    if (failure !== 'timeout') return this.#failed('engine_failed', 'The engine cannot be reached.');
    return this.#failed('engine_timeout', 'The engine sent no first token in time.');
  }

  async #relay(stream: EngineStream): Promise<EngineRunResult | ThoughtClosed> {
    for (;;) {
      // An engine that generates on after an answer has ended is left.
      if (this.#context.now() > this.#stopByMs) return { kind: 'finished' };
      const frame = await stream.next(this.#waitMs());
      switch (frame.kind) {
        case 'event': {
          if (frame.data === '[DONE]') {
            this.#engineEnded = true;
            return this.#streamEnded();
          }
          const result = await this.#handleEvent(frame.data);
          if (result !== null) return result;
          break;
        }
        case 'timeout':
          if (this.#reader.complete) return { kind: 'finished' };
          return this.#firstTokenAtMs === null
            ? this.#failed('engine_timeout', 'The engine sent no first token in time.')
            : this.#failed('engine_timeout', 'The engine stopped sending tokens.');
        case 'end':
          this.#engineEnded = true;
          return this.#streamEnded();
        case 'broken':
        case 'stopped':
          return this.#streamEnded();
      }
    }
  }

  /** Handles one event; returns the result where the event ends the answer, else null. */
  async #handleEvent(data: string): Promise<EngineRunResult | ThoughtClosed | null> {
    const reader = this.#reader;
    const step = reader.read(data);
    if (step.kind === 'malformed') return this.#failed('engine_failed', 'The engine sent a malformed frame.');
    if (step.kind === 'error') {
      this.#engineEnded = true;
      return this.#failed(step.error);
    }
    if (reader.allBegun) this.#leaveQueue();
    for (const choice of reader.takeStopped()) this.#stopAtEngine(choice);
    if (step.chunk === null) return null;
    this.#noteProgress({ text: step.chunk.choices.length > 0 });
    if (this.#activeRequest.aborting !== null) return null;
    const { context_tokens: promptMax = Number.POSITIVE_INFINITY } = this.#activeRequest.claims;
    if (reader.usage.prompt_tokens > promptMax && !this.#answer.started) {
      // The engine gave no count before.
      return this.#failed(contextExceeded(reader.usage.prompt_tokens, promptMax));
    }
    if (reader.isPastClaim) {
      this.#context.metrics.anomaly('overrun');
      return this.#cut();
    }
    const spent = this.#overBudget();
    if (this.#budget !== null && spent.length > 0)
      return this.#closeThought(this.#budget, { spent, chunk: step.chunk });
    // Before the first token another node can still take over, so a mere prompt count does not start the answer.
    if (this.#firstTokenAtMs !== null) await this.#answer.chunk(step.chunk);
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
  async #closeThought(
    budget: ThoughtBudget,
    { spent, chunk }: { spent: readonly number[]; chunk: NodeChunk },
  ): Promise<EngineRunResult | ThoughtClosed | null> {
    if (budget.keeper === 'engine') this.#context.watch.thoughtBudgetIgnored();
    if (budget.closable) {
      const closing = this.#reader.closeThought(thoughtLimit(budget));
      await this.#answer.chunk({ ...closing, choices: [...chunk.choices, ...closing.choices] });
      return { kind: 'thought_closed' };
    }
    if (this.#request.thinking_budget_hint) {
      this.#budget = null;
      await this.#answer.chunk(chunk);
      return null;
    }
    if (this.#activeRequest.choices === 1) return this.#cut();
    // Of several choices each ends by itself: others may be in their answer.
    const cut = this.#reader.cutAtLimit(spent);
    for (const choice of spent) this.#stopAtEngine(choice);
    await this.#answer.chunk({ ...cut, choices: [...chunk.choices, ...cut.choices] });
    return null;
  }

  /** Ends the answer here. */
  async #cut(): Promise<EngineRunResult> {
    this.#activeRequest.abortAtEngine();
    await this.#answer.chunk(this.#reader.cutAtLimit());
    return { kind: 'finished' };
  }

  /** The agent has ended a choice; the engine is given time to report how much it has generated until it stops. */
  #stopAtEngine(choice: number): void {
    const { now, deadlines } = this.#context;
    this.#activeRequest.abortChoice(choice);
    if (this.#reader.complete) this.#stopByMs = now() + deadlines.abortGraceMs;
  }

  /** The result once the engine's stream is over. */
  #streamEnded(): EngineRunResult {
    if (this.#activeRequest.aborting === null && !this.#reader.abortedByEngine && this.#reader.complete) {
      return { kind: 'finished' };
    }
    return this.#failed('engine_failed', 'The engine stopped before its answer was complete.');
  }

  /**
   * The result of a failure. A request that the edge aborted, or left by disconnecting, has not failed; its receipt carries
   * the last known usage.
   */
  #failed(error: RequestError): EngineRunResult;
  #failed(code: RequestError['code'], message: string): EngineRunResult;
  #failed(errorOrCode: RequestError | RequestError['code'], message = ''): EngineRunResult {
    switch (this.#activeRequest.aborting) {
      case 'edge':
      case 'disconnect':
        return { kind: 'aborted' };
      case 'shutdown':
        return { kind: 'failed', error: { code: 'engine_failed', message: 'This node is shutting down.' } };
      case null:
        return {
          kind: 'failed',
          error: this.#explained(
            typeof errorOrCode === 'string' ? { code: errorOrCode, message } : errorOrCode,
          ),
        };
    }
  }

  /** The error with what to check, where the engine refused the request and the agent has no reason of its own. */
  #explained(error: RequestError): RequestError {
    const isTheEngines = this.#asked && error.code === 'bad_request' && error.context === undefined;
    return isTheEngines ? { ...error, message: whatToCheck(this.#request) } : error;
  }

  #waitMs(): number {
    if (this.#activeRequest.aborting !== null) return Number.POSITIVE_INFINITY;
    if (this.#reader.complete) return Math.min(TAIL_MS, this.#stopByMs - this.#context.now());
    const { firstTokenMs, idleMs } = this.#context.deadlines;
    return this.#progressAtMs + (this.#firstTokenAtMs === null ? firstTokenMs : idleMs) - this.#context.now();
  }

  /** Records that the stream advanced: for the deadlines, the health of the engine, and the journal. */
  #noteProgress({ text }: { text: boolean }): void {
    const nowMs = this.#context.now();
    const usage = this.#usage;
    if (text || usage.completion_tokens > 0) {
      this.#firstTokenAtMs ??= nowMs;
      this.#progressAtMs = nowMs;
      this.#context.watch.tokenSeen();
    }
    if (nowMs - this.#journaledAtMs < JOURNAL_INTERVAL_MS) return;
    this.#journaledAtMs = nowMs;
    const ttftMs =
      this.#firstTokenAtMs === null ? null : this.#firstTokenAtMs - this.#activeRequest.startedAtMs;
    this.#context.journal.progress(this.#seq, { usage, ttft_ms: ttftMs });
  }
}
