/**
 * One request at a simulated node. The engine generates over time; the agent counts tokens, notes its progress in the
 * journal, forwards chunks, and writes its receipt when it has sent [DONE]. The tokens that the engine really generated
 * are counted separately: the laws compare them as a third count with those of the edge and the agent.
 */

import { UsageMeter } from '../../gpu-pool/agent/sglang/usage.ts';
import { ReadyAnswer } from '../../gpu-pool/answers/ready-answer.ts';
import {
  ANSWER_HEADER,
  ANSWER_READY,
  type AnswerFormat,
  type Budget,
  NO_USAGE,
  type NodeChunk,
  type NodeUsage,
  type Receipt,
  type RequestClaims,
} from '../../gpu-pool/protocol/schemas.ts';
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
/** Keep-alives of an agent that writes the client's dialect. */
const ALIVE_EVERY_MS = 1_000;

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
  /** The answer in the client's dialect; null: the agent is an older one, which answers with chunks. */
  readonly #answer: ReadyAnswer | null;
  readonly #contentType: string;
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
  /** The engine has ended its answer, of which a part waits for a larger hold. */
  #endWaits = false;
  #writtenAtMs = 0;

  constructor(
    node: RequestHost,
    options: {
      claims: RequestClaims;
      exchange: Exchange;
      task: EngineTask;
      fault: NodeFault;
      startedAtMs: number;
      /** How the client wants its answer; null: an older agent, which does not know that. */
      ready: { answer: AnswerFormat; budget: Budget | null } | null;
    },
  ) {
    const { claims, task, ready } = options;
    this.#answer = ready && new ReadyAnswer(ready.answer, ready.budget, options.startedAtMs);
    this.#contentType =
      ready && !ready.answer.stream ? 'application/x-ndjson' : 'text/event-stream; charset=utf-8';
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

  /** The edge says what the answer may cost. @returns what it may cost now; null: the agent knows no extensions */
  extend(heldNanoUsd: number): number | null {
    if (this.#answer === null || this.#closed) return null;
    this.#write(this.#answer.extend(heldNanoUsd, this.#node.universe.nowMs));
    if (this.#endWaits && !this.#answer.isWaiting) this.#close('finished');
    return this.#answer.heldNanoUsd;
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
    const field = this.#count.completionTokens * 2 <= this.#task.tokens ? 'reasoning_content' : 'content';
    const delta = { [field]: this.#task.textOf(this.#chunks, tokens) };
    this.#sendChunk({ choices: [{ index: choice, delta, finish_reason: null }], usage: this.#usage() });
    const invalid = this.#answer === null ? INVALID_EVENTS : INVALID_LINES;
    for (const [fault, text] of Object.entries(invalid))
      if (this.#isDue(fault as NodeFault)) this.#write(text);
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

  #usage(): NodeUsage {
    const usage = this.#meter.current();
    // An agent that writes the client's answer marks it from its own sound count.
    const isBroken = this.#answer === null && this.#isDue('more_cached_than_read');
    return isBroken ? { ...usage, cached_tokens: 10 * this.#task.promptTokens } : usage;
  }

  #finish(): void {
    this.#stopped = true;
    if (this.#ended) return;
    if (this.#fault !== 'engine_usage_missing')
      this.#meter.read(
        { prompt_tokens: this.#task.promptTokens, completion_tokens: this.#count.completionTokens },
        [],
      );
    const choices = this.#byChoice.map((_, index) => ({ index, delta: {}, finish_reason: 'stop' as const }));
    this.#sendChunk({ choices, usage: this.#usage() });
    this.#endWaits = this.#answer?.isWaiting ?? false;
    if (!this.#endWaits) this.#close('finished');
  }

  /** Ends the answer; its receipt is safe a moment later, unless the host dies before. */
  #close(outcome: 'finished' | 'aborted'): void {
    if (this.#ended) return;
    this.#ended = true;
    const usage = this.#meter.current();
    this.#after(RECEIPT_MS, () => this.#writeReceipt(outcome, usage));
    if (this.#disconnected) return;
    this.#sendHead();
    if (outcome === 'aborted' && this.#answer === null) this.#sendChunk({ choices: [], usage });
    const finish = { generated: usage, nowMs: this.#node.universe.nowMs };
    const end = this.#answer?.finish(outcome, finish) ?? 'data: [DONE]\n\n';
    if (this.#fault !== 'no_done') this.#write(end);
    if (this.#fault === 'bytes_after_done') this.#write('data: {"late":true}\n\n: bye\n');
    this.#exchange.end();
  }

  /** The engine failed: a 502 if no head has left, else an error event without [DONE]. */
  #fail(): void {
    this.#stopped = true;
    const generated = this.#meter.current();
    this.#writeReceipt('failed', generated);
    const error = { code: 'engine_failed', message: 'The engine failed.' } as const;
    const json = JSON.stringify({ error });
    if (this.#headSent) {
      const end = this.#answer?.fail(error, { generated, nowMs: this.#node.universe.nowMs });
      this.#write(end ?? `data: ${json}\n\n`);
      this.#exchange.end();
    } else {
      this.#exchange.respond(502, { 'content-type': 'application/json' }, json);
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
    const ready = this.#answer && { [ANSWER_HEADER]: ANSWER_READY };
    this.#exchange.respond(200, { 'content-type': this.#contentType, ...ready });
    if (this.#answer !== null) this.#after(ALIVE_EVERY_MS, () => this.#keepAlive(this.#answer!));
  }

  #sendChunk(chunk: NodeChunk): void {
    const nowMs = this.#node.universe.nowMs;
    this.#write(this.#answer?.take([chunk], nowMs) ?? `data: ${JSON.stringify(chunk)}\n\n`);
  }

  /** An agent keeps its answer alive while it has nothing to write; one that hangs does nothing any more. */
  #keepAlive(answer: ReadyAnswer): void {
    if (this.#closed || HANGS.has(this.#fault)) return;
    const { nowMs } = this.#node.universe;
    if (nowMs - this.#writtenAtMs >= ALIVE_EVERY_MS) this.#write(answer.alive(nowMs, false));
    this.#after(ALIVE_EVERY_MS, () => this.#keepAlive(answer));
  }

  #write(text: string): void {
    if (text === '') return;
    this.#writtenAtMs = this.#node.universe.nowMs;
    const bytes = ENCODER.encode(text);
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

/** Faults after which an agent says nothing more. */
const HANGS: ReadonlySet<NodeFault> = new Set(['hangs_mid_stream', 'byte_every_10_s']);

/** Events that violate the protocol, as only a broken agent sends them. */
const INVALID_EVENTS: Partial<Record<NodeFault, string>> = {
  malformed_frame: 'data: {"choices":[{"index":0,"delta"\n\n',
  chunk_without_usage: 'data: {"choices":[]}\n\n',
  negative_usage: `data: ${JSON.stringify({ choices: [], usage: { ...NO_USAGE, prompt_tokens: -1 } })}\n\n`,
};

/** The same faults in what an agent says within an answer that is ready for the client. */
const INVALID_LINES: Partial<Record<NodeFault, string>> = {
  malformed_frame: ': u 10,0,5\n\n',
  more_cached_than_read: ': u 10,100,5,0,5,1\n\n',
  chunk_without_usage: ': end {}\n\n',
  negative_usage: ': u -1,0,-5,0,1,1\n\n',
};

/** Counts that a lying engine reports: the true one, none, one too few, a negative one, a huge one, or text. */
const FALSE_COUNTS: readonly ((count: number) => unknown)[] = [
  (count) => count,
  () => null,
  (count) => count - 1,
  (count) => -count,
  () => 2 ** 40,
  () => 'many',
];
