/**
 * One request at a simulated node. The engine generates over time; the agent counts tokens, notes its progress in the
 * journal, forwards chunks, and writes its receipt when it has sent [DONE]. The tokens that the engine really generated
 * are counted separately: the laws compare them as a third count with those of the edge and the agent.
 */
import { NO_USAGE, UsageMeter } from '../../gpu-pool/agent/sglang/usage.ts';
import type { NodeUsage, Receipt, RequestClaims } from '../../gpu-pool/protocol/schemas.ts';
import type { EngineCount } from '../laws/world.ts';
import type { Exchange } from './exchange.ts';
import type { NodeFault } from './faults.ts';
import type { EngineTask } from './prompt.ts';
import type { Surroundings } from './surroundings.ts';

/** How often the agent notes a request's progress in its journal (gpu-pool/agent/run-progress.ts). */
const NOTED_EVERY_MS = 1_000;
const ABORT_GRACE_MS = 5_000;
/** From the end of an answer to its receipt on the disk (gpu-pool/agent/journal.ts). */
const RECEIPT_MS = 10;
const TRICKLE_EVERY_MS = 10_000;
const ENCODER = new TextEncoder();
const DONE = ENCODER.encode('data: [DONE]\n\n');

/** The node as its requests see it. */
export interface RequestHost {
  readonly universe: Pick<Surroundings, 'nowMs' | 'random'>;
  /** The engine's own counts. */
  readonly counts: EngineCount[];
  /** Runs `run` later, unless the host has died by then. */
  after(ms: number, run: () => void): void;
  /** Takes the receipt of a request that has ended. */
  finished(receipt: Omit<Receipt, 'seq'>): void;
}

export class ActiveRequest {
  readonly claims: RequestClaims;
  readonly #node: RequestHost;
  readonly #exchange: Exchange;
  readonly #task: EngineTask;
  readonly #fault: NodeFault;
  readonly #meter: UsageMeter;
  readonly #startedAtMs: number;
  /** The number of the first chunk that shows the fault. */
  readonly #faultAtChunk: number;
  readonly #count: { -readonly [Key in keyof EngineCount]: EngineCount[Key] };
  readonly #byChoice: number[];
  #noted: NodeUsage = NO_USAGE;
  #notedAtMs: number;
  #firstTokenAtMs: number | null = null;
  #chunks = 0;
  /** The most tokens whose text was forwarded before they were counted, because the engine's counter was broken. */
  #lagTokensMax = 0;
  #headSent = false;
  /** The edge has closed the connection. */
  #disconnected = false;
  #aborting = false;
  /** The answer has ended, as far as the edge can see. */
  #ended = false;
  /** The receipt is in the journal. */
  #closed = false;
  /** The engine generates no more. */
  #stopped = false;

  constructor(
    node: RequestHost,
    options: {
      claims: RequestClaims;
      exchange: Exchange;
      task: EngineTask;
      fault: NodeFault;
      startedAtMs: number;
    },
  ) {
    const { claims, task } = options;
    this.#node = node;
    this.claims = claims;
    this.#exchange = options.exchange;
    // where the engine counts nothing, the agent counts each delta as one token
    this.#task = options.fault === 'engine_usage_missing' ? inSingleTokens(task) : task;
    this.#fault = options.fault;
    this.#startedAtMs = options.startedAtMs;
    this.#notedAtMs = options.startedAtMs;
    this.#meter = new UsageMeter({ choices: task.choices, maxTokens: claims.max_tokens, onAnomaly() {} });
    this.#byChoice = Array.from({ length: task.choices }, () => 0);
    this.#count = {
      requestId: claims.jti,
      completionTokens: 0,
      promptTokens: 0,
      running: true,
      tailTokensMax: 0,
    };
    const chunks = Math.ceil(task.tokens / task.chunkTokens);
    this.#faultAtChunk = LATE_FAULTS.has(options.fault) ? 1 + node.universe.random.int(chunks) : 0;
    node.counts.push(this.#count);
    this.#exchange.onHangUp = () => {
      this.#disconnected = true;
      this.abort();
    };
  }

  start(): void {
    if (this.#fault === 'resets_before_headers') {
      this.#exchange.reset();
      this.#after(5, () => this.#exchange.onHangUp());
    } else if (this.#fault === 'dies_before_first_event') {
      this.#sendHead();
      this.#exchange.reset();
      this.#after(5, () => this.#exchange.onHangUp());
    } else if (this.#fault === 'hangs_before_headers') {
      return;
    }
    this.#after(this.#task.prefillMs, () => this.#generate());
  }

  /** The edge aborts, or has closed the connection: the engine stops soon, and then reports how much it generated. */
  abort(): void {
    if (this.#aborting || this.#ended) return;
    this.#aborting = true;
    if (this.#fault === 'keeps_generating_after_abort') {
      this.#after(ABORT_GRACE_MS, () => this.#close('aborted'));
      return;
    }
    this.#after(this.#node.universe.random.between(1, 60), () => {
      this.#stopped = true;
      this.#close('aborted');
    });
  }

  /** The host dies: only the usage last noted in the journal survives. */
  lose(): void {
    this.#stopped = true;
    this.#exchange.reset();
    if (this.#closed) return;
    this.#writeReceipt('lost', this.#noted);
  }

  #generate(): void {
    if (this.#stopped) return;
    if (this.#isDue('hangs_mid_stream')) return;
    if (this.#isDue('fails_after_work')) this.#fail();
    else if (this.#isDue('byte_every_10_s')) this.#trickle();
    else if (this.#isDue('dies_mid_stream')) this.#die();
    else this.#step();
  }

  #step(): void {
    this.#chunks += 1;
    const choice = (this.#chunks - 1) % this.#task.choices;
    const tokens = Math.min(this.#task.chunkTokens, this.#task.tokens - this.#count.completionTokens);
    this.#count.completionTokens += tokens;
    this.#byChoice[choice]! += tokens;
    if (this.#ended) {
      // these tokens reach no one: the engine was told to stop and does not
      this.#count.tailTokensMax = (this.#count.tailTokensMax ?? 0) + tokens;
    } else {
      this.#forward(choice, tokens);
    }
    if (this.#count.completionTokens >= this.#task.tokens) this.#finish();
    else
      this.#after(this.#task.stepMs * this.#node.universe.random.between(0.8, 1.2), () => this.#generate());
  }

  /** The agent reads a chunk of the engine and forwards it. */
  #forward(choice: number, tokens: number): void {
    this.#meter.delta(choice, this.#readUsage(choice));
    const nowMs = this.#node.universe.nowMs;
    this.#firstTokenAtMs ??= nowMs;
    if (nowMs - this.#notedAtMs >= NOTED_EVERY_MS) {
      this.#notedAtMs = nowMs;
      this.#noted = this.#meter.current();
    }
    const lagTokens = this.#count.completionTokens - this.#meter.current().completion_tokens;
    this.#lagTokensMax = Math.max(this.#lagTokensMax, lagTokens);
    if (this.#fault === 'fails_after_work') return;
    this.#sendHead();
    const usage = this.#usage();
    const field = this.#count.completionTokens * 2 <= this.#task.tokens ? 'reasoning_content' : 'content';
    const delta = `{"${field}":"${this.#task.textOf(this.#chunks, tokens)}"}`;
    this.#sendEvent(
      `{"choices":[{"index":${choice},"delta":${delta},"finish_reason":null}],"usage":${usage}}`,
    );
    if (this.#isDue('malformed_frame')) this.#sendEvent('{"choices":[{"index":0,"delta"');
    if (this.#isDue('chunk_without_usage')) this.#sendEvent('{"choices":[]}');
    if (this.#isDue('negative_usage'))
      this.#sendEvent(invalidChunk({ prompt_tokens: -1, completion_tokens: -5 }));
  }

  /** Reads the engine's usage report, faults included. @returns false when the engine reported nothing */
  #readUsage(choice: number): boolean {
    if (this.#fault === 'engine_usage_missing') return false;
    const { promptTokens, cachedTokens } = this.#task;
    this.#count.promptTokens = promptTokens;
    const completion = this.#byChoice[choice]!;
    const reported =
      this.#fault === 'engine_usage_lies' ? this.#node.universe.random.pick(FALSE_COUNTS) : (n: number) => n;
    this.#meter.read(
      {
        prompt_tokens: promptTokens,
        completion_tokens: reported(completion),
        reasoning_tokens: Math.floor(completion / 2),
        prompt_tokens_details: { cached_tokens: cachedTokens },
      },
      [choice],
    );
    return true;
  }

  #usage(): string {
    const usage = this.#meter.current();
    const isBroken = this.#isDue('more_cached_than_read');
    return JSON.stringify(isBroken ? { ...usage, cached_tokens: 10 * this.#task.promptTokens } : usage);
  }

  #finish(): void {
    this.#stopped = true;
    if (this.#ended) return;
    if (this.#fault !== 'engine_usage_missing')
      this.#meter.read(
        { prompt_tokens: this.#task.promptTokens, completion_tokens: this.#count.completionTokens },
        [],
      );
    const usage = this.#usage();
    const finishes = this.#byChoice.map((_, index) => `{"index":${index},"delta":{},"finish_reason":"stop"}`);
    this.#sendEvent(`{"choices":[${finishes.join(',')}],"usage":${usage}}`);
    this.#close('finished');
  }

  /** Ends the answer; its receipt is safe a moment later, unless the host dies before. */
  #close(outcome: 'finished' | 'aborted'): void {
    if (this.#ended) return;
    this.#ended = true;
    const usage = this.#meter.current();
    this.#after(RECEIPT_MS, () => this.#writeReceipt(outcome, usage));
    if (this.#disconnected) return;
    if (outcome === 'aborted') {
      this.#sendHead();
      this.#sendEvent(`{"choices":[],"usage":${JSON.stringify(usage)}}`);
    }
    if (this.#fault !== 'no_done') this.#exchange.send(DONE);
    if (this.#fault === 'bytes_after_done')
      this.#exchange.send(ENCODER.encode('data: {"late":true}\n\n: bye\n'));
    this.#exchange.end();
  }

  /** The engine failed: a 502 if no head has left, else an error event without [DONE]. */
  #fail(): void {
    this.#stopped = true;
    this.#writeReceipt('failed', this.#meter.current());
    const error = '{"error":{"code":"engine_failed","message":"The engine failed."}}';
    if (this.#headSent) {
      this.#sendEvent(error);
      this.#exchange.end();
    } else {
      this.#exchange.respond(502, { 'content-type': 'application/json' }, error);
    }
  }

  #die(): void {
    if (this.#node.universe.random.chance(0.5)) {
      this.#fail();
    } else {
      this.#exchange.reset();
      this.#after(5, () => this.#exchange.onHangUp());
    }
  }

  #trickle(): void {
    if (this.#disconnected || this.#ended) return;
    this.#sendHead();
    this.#exchange.send(ENCODER.encode(':'));
    this.#after(TRICKLE_EVERY_MS, () => this.#trickle());
  }

  #writeReceipt(outcome: Receipt['outcome'], usage: NodeUsage): void {
    this.#ended = true;
    this.#closed = true;
    this.#count.running = false;
    const hidden = this.#count.completionTokens - usage.completion_tokens;
    if (outcome === 'lost' || this.#fault === 'engine_usage_lies')
      this.#count.tailTokensMax = Math.max(hidden, this.#lagTokensMax);
    if (outcome === 'lost' || this.#fault === 'engine_usage_missing') delete this.#count.promptTokens;
    const endedAtMs = Math.floor(this.#node.universe.nowMs);
    this.#node.finished({
      request_id: this.claims.jti,
      ticket: this.claims.ticket,
      account_id: this.claims.sub,
      model: this.claims.model,
      started_at_ms: Math.floor(this.#startedAtMs),
      ended_at_ms: endedAtMs,
      ttft_ms: this.#firstTokenAtMs === null ? null : Math.floor(this.#firstTokenAtMs - this.#startedAtMs),
      outcome,
      usage,
    });
  }

  #sendHead(): void {
    if (this.#headSent) return;
    this.#headSent = true;
    this.#exchange.respond(200, { 'content-type': 'text/event-stream; charset=utf-8' });
  }

  #sendEvent(data: string): void {
    const bytes = ENCODER.encode(`data: ${data}\n\n`);
    if (this.#fault !== 'split_at_every_byte') this.#exchange.send(bytes);
    else this.#exchange.send(...Array.from(bytes, (_, i) => bytes.subarray(i, i + 1)));
  }

  #isDue(fault: NodeFault): boolean {
    return this.#fault === fault && this.#chunks >= this.#faultAtChunk;
  }

  #after(ms: number, run: () => void): void {
    this.#node.after(ms, run);
  }
}

/** The same task with chunks of one token, which takes the same time. */
function inSingleTokens(task: EngineTask): EngineTask {
  return { ...task, chunkTokens: 1, stepMs: task.stepMs / task.chunkTokens };
}

const LATE_FAULTS: ReadonlySet<NodeFault> = new Set([
  'dies_mid_stream',
  'hangs_mid_stream',
  'byte_every_10_s',
  'malformed_frame',
  'chunk_without_usage',
  'negative_usage',
  'more_cached_than_read',
  'fails_after_work',
]);

/** A chunk that violates the protocol, as only a broken agent sends it. */
function invalidChunk(usage: Partial<NodeUsage>): string {
  return JSON.stringify({ choices: [], usage: { ...NO_USAGE, ...usage } });
}

/** Counts that a lying engine reports: the true one, none, one too few, a negative one, a huge one, or text. */
const FALSE_COUNTS: readonly ((count: number) => unknown)[] = [
  (count) => count,
  () => null,
  (count) => count - 1,
  (count) => -count,
  () => 2 ** 40,
  () => 'many',
];
