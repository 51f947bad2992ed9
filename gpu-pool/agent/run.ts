/** One request at the engine: asks, watches the deadlines, passes tokens on, and knows how it ended. */
import type { GenerateRequest, NodeUsage, Receipt } from '../protocol/schemas.ts';
import type { ActiveRequest } from './active-requests.ts';
import type { Answer } from './answer.ts';
import { openEngine, readSmall } from './engine-client.ts';
import { EngineStream } from './engine-stream.ts';
import type { GenerateContext } from './generate-context.ts';
import type { RequestError } from './request-error.ts';
import { fromStatus } from './sglang/engine-error.ts';
import { toEngineRequest, wantsJson } from './sglang/request.ts';
import { StreamReader } from './sglang/stream.ts';

export type Ending = { kind: 'finished' } | { kind: 'aborted' } | { kind: 'failed'; refusal: RequestError };

/** At most this often the journal notes how far a request is. */
const PROGRESS_INTERVAL_MS = 1_000;
/** How long the last usage and [DONE] may lag behind the finish reasons. */
const SETTLE_MS = 5_000;

export class Run {
  readonly #context: GenerateContext;
  readonly #flight: ActiveRequest;
  readonly #request: GenerateRequest;
  readonly #seq: number;
  readonly #answer: Answer;
  readonly #reader: StreamReader;
  #firstTokenAtMs: number | null = null;
  #progressAtMs: number;
  #notedAtMs: number;
  #engineEnded = false;

  constructor(
    context: GenerateContext,
    parts: { flight: ActiveRequest; request: GenerateRequest; seq: number; answer: Answer },
  ) {
    this.#context = context;
    this.#flight = parts.flight;
    this.#request = parts.request;
    this.#seq = parts.seq;
    this.#answer = parts.answer;
    this.#progressAtMs = parts.flight.startedAtMs;
    this.#notedAtMs = parts.flight.startedAtMs;
    this.#reader = new StreamReader({
      choices: parts.request.n ?? 1,
      maxTokens: parts.flight.claims.max_tokens,
      json: wantsJson(parts.request),
      onAnomaly: (kind) => context.metrics.anomaly(kind),
    });
  }

  async toTheEnd(): Promise<Ending> {
    const stream = await this.#askEngine();
    if ('kind' in stream) return stream;
    this.#flight.onCut(() => stream.cut());
    const ending = await this.#passOn(stream);
    if (ending.kind === 'failed') this.#flight.stopEngine();
    stream.cut();
    return ending;
  }

  receipt(ending: Ending): Receipt {
    const { claims, startedAtMs } = this.#flight;
    const ttftMs = this.#firstTokenAtMs === null ? null : Math.max(0, this.#firstTokenAtMs - startedAtMs);
    return {
      seq: this.#seq,
      request_id: claims.jti,
      account_id: claims.sub,
      model: claims.model,
      started_at_ms: startedAtMs,
      ended_at_ms: Math.max(startedAtMs, this.#context.now()),
      ttft_ms: ttftMs,
      outcome: ending.kind,
      usage: this.#usage,
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

  /** Posts the request; a stream, or how it ended already. SGLang holds its head back until the first token. */
  async #askEngine(): Promise<EngineStream | Ending> {
    const { engine, watch, deadlines } = this.#context;
    const { path, body } = toEngineRequest(this.#request, {
      claims: this.#flight.claims,
      modelPath: watch.info.model_path,
    });
    const deadline = new AbortController();
    const timer = setTimeout(() => deadline.abort(), deadlines.firstTokenMs);
    this.#flight.onCut(() => deadline.abort());
    const response = await openEngine(engine, {
      method: 'POST',
      path,
      body,
      signal: deadline.signal,
    });
    clearTimeout(timer);
    if ('failure' in response) {
      // After a reset the request may run on; where nobody listens there is nobody to tell.
      if (response.failure !== 'refused') this.#flight.stopEngine();
      if (response.failure !== 'timeout')
        return this.#failed('engine_failed', 'The engine cannot be reached.');
      return this.#failed('engine_timeout', 'The engine sent no first token in time.');
    }
    const status = response.statusCode ?? 0;
    if (status !== 200) {
      const timeout = setTimeout(() => response.destroy(), SETTLE_MS);
      const refusal = fromStatus(status, await readSmall(response), response.headers['retry-after']);
      clearTimeout(timeout);
      this.#engineEnded = true;
      return this.#failed(refusal);
    }
    if (!/^text\/event-stream\b/i.test(response.headers['content-type'] ?? '')) {
      response.destroy();
      this.#flight.stopEngine();
      return this.#failed('engine_failed', 'The engine answered with something that is no event stream.');
    }
    return new EngineStream(response);
  }

  async #passOn(stream: EngineStream): Promise<Ending> {
    for (;;) {
      const frame = await stream.next(this.#waitMs());
      switch (frame.kind) {
        case 'event': {
          if (frame.data === '[DONE]') {
            this.#engineEnded = true;
            return this.#ended();
          }
          const ending = await this.#event(frame.data);
          if (ending !== null) return ending;
          break;
        }
        case 'timeout':
          if (this.#reader.complete) return { kind: 'finished' };
          return this.#firstTokenAtMs === null
            ? this.#failed('engine_timeout', 'The engine sent no first token in time.')
            : this.#failed('engine_timeout', 'The engine stopped sending tokens.');
        case 'end':
          this.#engineEnded = true;
          return this.#ended();
        case 'broken':
        case 'cut':
          return this.#ended();
      }
    }
  }

  /** Takes in one event; an ending where it is the last that matters. */
  async #event(data: string): Promise<Ending | null> {
    const reader = this.#reader;
    const step = reader.read(data);
    if (step.kind === 'malformed') return this.#failed('engine_failed', 'The engine sent a malformed frame.');
    if (step.kind === 'error') {
      this.#engineEnded = true;
      return this.#failed(step.refusal);
    }
    if (step.chunk === null) return null;
    this.#note({ text: step.chunk.choices.length > 0 });
    if (this.#flight.aborting !== null) return null;
    if (reader.overrun) {
      this.#context.metrics.anomaly('overrun');
      this.#flight.stopEngine();
      await this.#answer.chunk(reader.cutAtLimit());
      return { kind: 'finished' };
    }
    // Before the first token another node can still take over, so a mere prompt count does not begin the answer.
    if (this.#firstTokenAtMs !== null) await this.#answer.chunk(step.chunk);
    return null;
  }

  /** The engine will say no more. */
  #ended(): Ending {
    if (this.#flight.aborting === null && !this.#reader.abortedByEngine && this.#reader.complete) {
      return { kind: 'finished' };
    }
    return this.#failed('engine_failed', 'The engine ended before its answer was complete.');
  }

  /** Whoever aborted wants no error: the last known usage is the answer. */
  #failed(refusal: RequestError): Ending;
  #failed(code: RequestError['code'], message: string): Ending;
  #failed(what: RequestError | RequestError['code'], message = ''): Ending {
    switch (this.#flight.aborting) {
      case 'edge':
      case 'gone':
        return { kind: 'aborted' };
      case 'shutdown':
        return { kind: 'failed', refusal: { code: 'engine_failed', message: 'This node is shutting down.' } };
      case null:
        return { kind: 'failed', refusal: typeof what === 'string' ? { code: what, message } : what };
    }
  }

  #waitMs(): number {
    if (this.#flight.aborting !== null) return Number.POSITIVE_INFINITY;
    if (this.#reader.complete) return SETTLE_MS;
    const { firstTokenMs, idleMs } = this.#context.deadlines;
    return this.#progressAtMs + (this.#firstTokenAtMs === null ? firstTokenMs : idleMs) - this.#context.now();
  }

  /** The stream moved: for the deadlines, the health of the engine, and the journal. */
  #note({ text }: { text: boolean }): void {
    const nowMs = this.#context.now();
    const usage = this.#usage;
    if (text || usage.completion_tokens > 0) {
      this.#firstTokenAtMs ??= nowMs;
      this.#progressAtMs = nowMs;
      this.#context.watch.tokenSeen();
    }
    if (nowMs - this.#notedAtMs < PROGRESS_INTERVAL_MS) return;
    this.#notedAtMs = nowMs;
    const ttftMs = this.#firstTokenAtMs === null ? null : this.#firstTokenAtMs - this.#flight.startedAtMs;
    this.#context.journal.progress(this.#seq, { usage, ttft_ms: ttftMs });
  }
}
