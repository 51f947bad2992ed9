/**
 * One attempt at a node: the engine generates over time, the agent counts, notes, passes on and closes its journal
 * before it says [DONE]. What the engine itself generated is counted apart, as the third witness.
 */
import { NO_USAGE, UsageMeter } from '../../gpu-pool/agent/sglang/usage.ts';
import type { NodeUsage, Receipt, RequestClaims } from '../../gpu-pool/protocol/schemas.ts';
import type { EngineCount } from '../laws/world.ts';
import type { Exchange } from './exchange.ts';
import type { NodeFault } from './faults.ts';
import type { Work } from './prompt.ts';
import type { SimNode } from './sim-node.ts';

/** How often the agent notes in its journal how far a request is (gpu-pool/agent/run.ts). */
const NOTED_EVERY_MS = 1_000;
const ABORT_GRACE_MS = 5_000;
const TRICKLE_EVERY_MS = 10_000;
const ENCODER = new TextEncoder();
const DONE = ENCODER.encode('data: [DONE]\n\n');

export class Flight {
  readonly claims: RequestClaims;
  readonly #node: SimNode;
  readonly #exchange: Exchange;
  readonly #work: Work;
  readonly #fault: NodeFault;
  readonly #meter: UsageMeter;
  readonly #startedAtMs: number;
  /** chunk from which on the fault shows */
  readonly #faultAtChunk: number;
  readonly #count: { -readonly [Key in keyof EngineCount]: EngineCount[Key] };
  readonly #byChoice: number[];
  #noted: NodeUsage = NO_USAGE;
  #notedAtMs: number;
  #firstTokenAtMs: number | null = null;
  #chunks = 0;
  /** text that went ahead of its count, because the engine's counter was broken */
  #lagTokensMax = 0;
  #headSent = false;
  #gone = false;
  #aborting = false;
  #closed = false;
  /** the engine works no more */
  #stopped = false;

  constructor(
    node: SimNode,
    flight: { claims: RequestClaims; exchange: Exchange; work: Work; fault: NodeFault; startedAtMs: number },
  ) {
    const { claims, work } = flight;
    this.#node = node;
    this.claims = claims;
    this.#exchange = flight.exchange;
    // the agent counts a delta as a token where the engine counts nothing
    this.#work = flight.fault === 'engine_usage_missing' ? inSingleTokens(work) : work;
    this.#fault = flight.fault;
    this.#startedAtMs = flight.startedAtMs;
    this.#notedAtMs = flight.startedAtMs;
    this.#meter = new UsageMeter({ choices: work.choices, maxTokens: claims.max_tokens, onAnomaly() {} });
    this.#byChoice = Array.from({ length: work.choices }, () => 0);
    this.#count = {
      requestId: claims.jti,
      completionTokens: 0,
      promptTokens: 0,
      running: true,
      tailTokensMax: 0,
    };
    const chunks = Math.ceil(work.tokens / work.chunkTokens);
    this.#faultAtChunk = LATE_FAULTS.has(flight.fault) ? 1 + node.universe.random.int(chunks) : 0;
    node.counts.push(this.#count);
    this.#exchange.onGone = () => {
      this.#gone = true;
      this.abort();
    };
  }

  start(): void {
    if (this.#fault === 'resets_before_headers') {
      this.#exchange.reset();
      this.#after(5, () => this.#exchange.onGone());
    } else if (this.#fault === 'dies_before_first_event') {
      this.#head();
      this.#exchange.reset();
      this.#after(5, () => this.#exchange.onGone());
    } else if (this.#fault === 'hangs_before_headers') {
      return;
    }
    this.#after(this.#work.prefillMs, () => this.#generate());
  }

  /** The edge asks to stop, or has hung up: the engine stops soon, and then says how much it generated. */
  abort(): void {
    if (this.#aborting || this.#closed) return;
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

  /** The host dies: what the journal has is all that is left. */
  lose(): void {
    this.#stopped = true;
    this.#exchange.reset();
    if (this.#closed) return;
    this.#receipt('lost', this.#noted);
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
    const choice = (this.#chunks - 1) % this.#work.choices;
    const tokens = Math.min(this.#work.chunkTokens, this.#work.tokens - this.#count.completionTokens);
    this.#count.completionTokens += tokens;
    this.#byChoice[choice]! += tokens;
    if (this.#closed) {
      // nobody hears of it any more: it was told to stop and does not
      this.#count.tailTokensMax = (this.#count.tailTokensMax ?? 0) + tokens;
    } else {
      this.#pass(choice, tokens);
    }
    if (this.#count.completionTokens >= this.#work.tokens) this.#finish();
    else
      this.#after(this.#work.stepMs * this.#node.universe.random.between(0.8, 1.2), () => this.#generate());
  }

  /** The agent reads a chunk of the engine and passes it on. */
  #pass(choice: number, tokens: number): void {
    this.#meter.delta(choice, this.#read(choice));
    const nowMs = this.#node.universe.nowMs;
    this.#firstTokenAtMs ??= nowMs;
    if (nowMs - this.#notedAtMs >= NOTED_EVERY_MS) {
      this.#notedAtMs = nowMs;
      this.#noted = this.#meter.current();
    }
    const lagTokens = this.#count.completionTokens - this.#meter.current().completion_tokens;
    this.#lagTokensMax = Math.max(this.#lagTokensMax, lagTokens);
    if (this.#fault === 'fails_after_work') return;
    this.#head();
    const usage = this.#usage();
    const field = this.#count.completionTokens * 2 <= this.#work.tokens ? 'reasoning_content' : 'content';
    const delta = `{"${field}":"${this.#work.textOf(this.#chunks, tokens)}"}`;
    this.#event(`{"choices":[{"index":${choice},"delta":${delta},"finish_reason":null}],"usage":${usage}}`);
    if (this.#isDue('malformed_frame')) this.#event('{"choices":[{"index":0,"delta"');
    if (this.#isDue('chunk_without_usage')) this.#event('{"choices":[]}');
    if (this.#isDue('negative_usage')) this.#event(unsound({ prompt_tokens: -1, completion_tokens: -5 }));
  }

  /** What the engine says of itself, faults included. @returns whether it said anything */
  #read(choice: number): boolean {
    if (this.#fault === 'engine_usage_missing') return false;
    const { promptTokens, cachedTokens } = this.#work;
    this.#count.promptTokens = promptTokens;
    const completion = this.#byChoice[choice]!;
    const lie =
      this.#fault === 'engine_usage_lies' ? this.#node.universe.random.pick(LIES) : (n: number) => n;
    this.#meter.read(
      {
        prompt_tokens: promptTokens,
        completion_tokens: lie(completion),
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
    return JSON.stringify(isBroken ? { ...usage, cached_tokens: 10 * this.#work.promptTokens } : usage);
  }

  #finish(): void {
    this.#stopped = true;
    if (this.#closed) return;
    if (this.#fault !== 'engine_usage_missing')
      this.#meter.read(
        { prompt_tokens: this.#work.promptTokens, completion_tokens: this.#count.completionTokens },
        [],
      );
    const usage = this.#usage();
    const finishes = this.#byChoice.map((_, index) => `{"index":${index},"delta":{},"finish_reason":"stop"}`);
    this.#event(`{"choices":[${finishes.join(',')}],"usage":${usage}}`);
    this.#close('finished');
  }

  /** The journal first, then the end of the answer. */
  #close(outcome: 'finished' | 'aborted'): void {
    if (this.#closed) return;
    const usage = this.#meter.current();
    this.#receipt(outcome, usage);
    if (this.#gone) return;
    if (outcome === 'aborted') {
      this.#head();
      this.#event(`{"choices":[],"usage":${JSON.stringify(usage)}}`);
    }
    if (this.#fault !== 'no_done') this.#exchange.send(DONE);
    if (this.#fault === 'bytes_after_done')
      this.#exchange.send(ENCODER.encode('data: {"late":true}\n\n: bye\n'));
    this.#exchange.end();
  }

  /** The engine broke: said as a status while no head has left, else as an event without [DONE]. */
  #fail(): void {
    this.#stopped = true;
    this.#receipt('failed', this.#meter.current());
    const error = '{"error":{"code":"engine_failed","message":"The engine failed."}}';
    if (this.#headSent) {
      this.#event(error);
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
      this.#after(5, () => this.#exchange.onGone());
    }
  }

  #trickle(): void {
    if (this.#gone || this.#closed) return;
    this.#head();
    this.#exchange.send(ENCODER.encode(':'));
    this.#after(TRICKLE_EVERY_MS, () => this.#trickle());
  }

  #receipt(outcome: Receipt['outcome'], usage: NodeUsage): void {
    this.#closed = true;
    this.#count.running = false;
    const hidden = this.#count.completionTokens - usage.completion_tokens;
    if (outcome === 'lost' || this.#fault === 'engine_usage_lies')
      this.#count.tailTokensMax = Math.max(hidden, this.#lagTokensMax);
    if (outcome === 'lost' || this.#fault === 'engine_usage_missing') delete this.#count.promptTokens;
    const endedAtMs = Math.floor(this.#node.universe.nowMs);
    this.#node.landed(this, {
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

  #head(): void {
    if (this.#headSent) return;
    this.#headSent = true;
    this.#exchange.respond(200, { 'content-type': 'text/event-stream; charset=utf-8' });
  }

  #event(data: string): void {
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

/** In the same time. */
function inSingleTokens(work: Work): Work {
  return { ...work, chunkTokens: 1, stepMs: work.stepMs / work.chunkTokens };
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

/** A chunk outside the protocol, as only a broken agent sends it. */
function unsound(usage: Partial<NodeUsage>): string {
  return JSON.stringify({ choices: [], usage: { ...NO_USAGE, ...usage } });
}

/** What an engine may say instead of its count: nothing, less than before, below zero, huge, no number. */
const LIES: readonly ((count: number) => unknown)[] = [
  (count) => count,
  () => null,
  (count) => count - 1,
  (count) => -count,
  () => 2 ** 40,
  () => 'many',
];
