/** One request at the engine: what is posted to it, in which order, and what its receipt says. */
import { randomUUID } from 'node:crypto';
import type { GenerateRequest, NodeUsage, Receipt } from '../protocol/schemas.ts';
import type { ActiveRequest } from './active-requests.ts';
import type { Answer } from './answer.ts';
import { AnswerRelay } from './answer-relay.ts';
import { contextExceeded } from './context-window.ts';
import { readSmall } from './engine-client.ts';
import { EnginePost } from './engine-post.ts';
import { EngineStream } from './engine-stream.ts';
import { type Fitted, fitRequest } from './fitted-request.ts';
import type { GenerateContext } from './generate-context.ts';
import { isRequestError } from './request-error.ts';
import { RunProgress } from './run-progress.ts';
import { type EngineRunResult, failed } from './run-result.ts';
import { wantsJson } from './sglang/answer-format.ts';
import { promptPassId, toEngineRequest, toPromptPass } from './sglang/request.ts';
import { StreamReader } from './sglang/stream.ts';
import { tokenizePrompt, tokenizeText } from './sglang/tokenize.ts';

/** Runs one request at the engine and relays its answer; `receipt` is valid once `execute` has resolved. */
export class EngineRun {
  readonly #context: GenerateContext;
  readonly #activeRequest: ActiveRequest;
  readonly #request: GenerateRequest;
  readonly #seq: number;
  readonly #answer: Answer;
  readonly #reader: StreamReader;
  readonly #progress: RunProgress;
  readonly #post: EnginePost;
  readonly #relay: AnswerRelay;

  constructor(
    context: GenerateContext,
    options: { activeRequest: ActiveRequest; request: GenerateRequest; seq: number; answer: Answer },
  ) {
    const { activeRequest, request, seq, answer } = options;
    this.#context = context;
    this.#activeRequest = activeRequest;
    this.#request = request;
    this.#seq = seq;
    this.#answer = answer;
    this.#reader = new StreamReader({
      choices: request.n ?? 1,
      maxTokens: activeRequest.claims.max_tokens,
      json: wantsJson(request),
      stop: request.stop ?? [],
      oneCall: request.parallel_tool_calls === false,
      newCallId: () => `call_${randomUUID().replaceAll('-', '').slice(0, 24)}`,
      onChoiceId: (choice, id) => activeRequest.nameChoice(choice, id),
      onAnomaly: (kind) => context.metrics.anomaly(kind),
    });
    const progress = new RunProgress(context, { seq, startedAtMs: activeRequest.startedAtMs });
    const post = new EnginePost(context, { activeRequest, request, progress });
    this.#progress = progress;
    this.#post = post;
    this.#relay = new AnswerRelay(context, {
      ...{ activeRequest, request, answer, progress, reader: this.#reader },
      onAllBegun: () => post.leaveQueue(),
    });
  }

  async execute(): Promise<EngineRunResult> {
    const fitted = await fitRequest(this.#context, this.#request, this.#activeRequest.claims);
    if (isRequestError(fitted)) {
      this.#progress.engineEnded = true;
      return failed(this.#activeRequest, fitted);
    }
    const refused = await this.#post.enterQueue();
    if (refused !== null) return refused;
    try {
      return await this.#generate(fitted);
    } finally {
      this.#post.leaveQueue();
    }
  }

  receipt(result: EngineRunResult): Receipt {
    const { claims, startedAtMs } = this.#activeRequest;
    return {
      seq: this.#seq,
      request_id: claims.jti,
      account_id: claims.sub,
      model: claims.model,
      started_at_ms: startedAtMs,
      ended_at_ms: Math.max(startedAtMs, this.#context.now()),
      ttft_ms: this.#progress.ttftMs,
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
    return this.#progress.engineEnded;
  }

  get #usage(): NodeUsage {
    return this.#reader.usage;
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
  async #run(fitted: Fitted, rid: string): ReturnType<AnswerRelay['relay']> {
    const stream = await this.#openStream(fitted, rid);
    if ('kind' in stream) return stream;
    this.#activeRequest.setGraceExpiredCallback(() => stream.stop());
    const result = await this.#relay.relay(stream, fitted.budget);
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
      if (frame.kind !== 'events') return;
      for (const event of frame.events) this.#reader.read(event);
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
    if (max_tokens <= 0) {
      await this.#answer.chunks([this.#relay.cut()]);
      return { kind: 'finished' };
    }
    const promptIds = wanted.promptIds ?? (await tokenizePrompt(engine, request, modelPath));
    const textIds = await tokenizeText(engine, this.#reader.text, modelPath);
    if (promptIds === null || textIds === null)
      return this.#engineFailed('The engine cannot go on behind a closed thought.');
    if (this.#activeRequest.aborting !== null) return this.#engineFailed('');
    this.#post.renewDeadline();
    // Not the first request's id as a prefix: a late abort of that one would match it (scheduler.py, `abort_request`).
    const rid = `answer-${this.#activeRequest.claims.jti}`;
    this.#activeRequest.goOnAs(rid);
    const refused = await this.#post.enterQueue();
    if (refused !== null) return refused;
    const next = { format: wanted.format, promptIds: [...promptIds, ...textIds], engineBudget: null };
    const result = await this.#run(
      { request: { ...request, max_tokens, min_tokens }, wanted: next, budget: null },
      rid,
    );
    return result.kind === 'thought_closed' ? this.#engineFailed('') : result;
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
    const body = await this.#post.post(
      toPromptPass(request, { rid, modelPath, wanted }),
      async (response) => ({
        answer: await readSmall(response),
      }),
    );
    if ('kind' in body) return body;
    this.#post.promptBegun();
    const passed = this.#reader.readPromptPass(body.answer);
    if (!passed || this.#activeRequest.aborting !== null) {
      // A whole answer is its request's end; after anything else the pass may run on.
      this.#progress.engineEnded = body.answer !== null;
      if (!this.#progress.engineEnded) this.#activeRequest.abortAtEngine();
      return this.#engineFailed('The engine stopped before it had read the prompt.');
    }
    this.#activeRequest.promptPassEnds();
    this.#context.watch.tokenSeen();
    return null;
  }

  /** Ends a request of nothing but its prompt. The one token that the engine has made of it is nobody's. */
  async #endAtPrompt(): Promise<EngineRunResult> {
    this.#progress.engineEnded = true;
    const { prompt_tokens: counted } = this.#usage;
    const { context_tokens: most = Number.POSITIVE_INFINITY } = this.#activeRequest.claims;
    if (counted > most) return failed(this.#activeRequest, contextExceeded(counted, most));
    await this.#answer.chunks([this.#reader.cutAtLimit()]);
    return { kind: 'finished' };
  }

  /**
   * Posts the request. Returns the stream, or the result where it has ended already. SGLang holds the response head
   * back until the first token.
   */
  #openStream({ request, wanted }: Fitted, rid: string): Promise<EngineStream | EngineRunResult> {
    const { model_path: modelPath } = this.#context.watch.info;
    return this.#post.post(toEngineRequest(request, { rid, modelPath, wanted }), (response) => {
      if (/^text\/event-stream\b/i.test(response.headers['content-type'] ?? ''))
        return new EngineStream(response);
      response.destroy();
      this.#activeRequest.abortAtEngine();
      return this.#engineFailed('The engine’s response is not an event stream.');
    });
  }

  #engineFailed(message: string): EngineRunResult {
    return failed(this.#activeRequest, { code: 'engine_failed', message });
  }
}
