/**
 * An engine in virtual time: continuous batching as gpu-pool/emulator does it (prefill first and in chunks, then a
 * token for every running sequence a step) with the same hardware profiles, but whole runs of equal steps at once, so
 * an hour of sixteen nodes takes seconds.
 */
import type { Profile } from '../emulator/profiles.ts';
import type { NodeLoad } from '../protocol/schemas.ts';
import { BlockCache } from './block-cache.ts';
import { MinHeap } from './min-heap.ts';
import { BLOCK_TOKENS, type TraceRequest } from './trace.ts';

/** SGLang reserves room for the output it expects, and for no more than this (CLIP_MAX_NEW_TOKENS_ESTIMATION). */
const RESERVED_OUTPUT_TOKENS = 4_096;

export interface SimEngineRequest {
  readonly request: TraceRequest;
  /** told once, when the first token is there */
  readonly onFirstToken: (atMs: number, cachedTokens: number) => void;
  readonly onEnd: (atMs: number) => void;
  /** the host died meanwhile */
  readonly onLost: () => void;
}

interface RunningRequest extends SimEngineRequest {
  cachedTokens: number;
  prefillLeft: number;
  /** of the engine's token counter, at which the last token comes */
  endsAtToken: number;
  startedAtToken: number;
}

type Pass =
  | { kind: 'prefill'; endsAtMs: number; done: RunningRequest[] }
  | { kind: 'decode'; startedAtMs: number; stepMs: number; steps: number; endsAtMs: number };

export class SimEngine {
  readonly profile: Profile;
  readonly cache = new BlockCache();
  readonly #queuedMax: number;
  #waiting: SimEngineRequest[] = [];
  #prefilling: RunningRequest[] = [];
  readonly #decoding = new MinHeap<RunningRequest>((job) => job.endsAtToken);
  /** tokens that each running sequence has got since the beginning */
  #tokenCounter = 0;
  #pass: Pass | null = null;
  /** sum over the decoding of what they have produced is (#tokenCounter × count − #startedSum) */
  #startedSum = 0;
  #generated = 0;
  #generatedBefore = { atMs: 0, tokens: 0, perSecond: 0 };

  constructor(profile: Profile, queuedMax: number) {
    this.profile = profile;
    this.#queuedMax = queuedMax;
  }

  /** When the engine next has something to do; null while it is idle. */
  get nextAtMs(): number | null {
    return this.#pass?.endsAtMs ?? null;
  }

  /** How long a token takes now. */
  get stepMs(): number {
    return this.profile.decodeBaseMs + this.profile.decodePerSequenceMs * this.#decoding.size;
  }

  submit(job: SimEngineRequest, nowMs: number): 'accepted' | 'queue_full' {
    if (this.#waiting.length >= this.#queuedMax) return 'queue_full';
    this.#waiting.push(job);
    if (this.#pass === null) this.#begin(nowMs);
    else if (this.#pass.kind === 'decode') this.#interrupt(this.#pass, nowMs);
    return 'accepted';
  }

  /** Ends the pass that is due. */
  advance(nowMs: number): void {
    const pass = this.#pass!;
    this.#pass = null;
    if (pass.kind === 'prefill') this.#endPrefill(pass.done, nowMs);
    else this.#endDecode(pass.steps, nowMs);
    this.#begin(nowMs);
  }

  /** Waiting and running. */
  get requests(): SimEngineRequest[] {
    return [...this.#waiting, ...this.#prefilling, ...this.#decoding.items];
  }

  load(nowMs: number): NodeLoad {
    let waitingTokens = this.#prefilling.reduce((sum, job) => sum + job.prefillLeft, 0);
    for (const { request } of this.#waiting)
      waitingTokens += request.promptTokens - this.#cachedTokens(request);
    const before = this.#generatedBefore;
    const generated = this.#generated + this.#underWay(nowMs);
    if (nowMs - before.atMs >= 1_000) {
      const perSecond = ((generated - before.tokens) * 1_000) / (nowMs - before.atMs);
      this.#generatedBefore = { atMs: nowMs, tokens: generated, perSecond };
    }
    return {
      running_requests: this.#prefilling.length + this.#decoding.size,
      waiting_requests: this.#waiting.length,
      waiting_tokens: waitingTokens,
      used_tokens: this.cache.lockedTokens + this.#privateTokens(),
      capacity_tokens: this.profile.kvCapacityTokens,
      max_running_requests: this.profile.maxRunningRequests,
      max_queued_requests: this.#queuedMax,
      generation_tokens_per_second: this.#generatedBefore.perSecond,
      cache_hit_rate: 0,
    };
  }

  #begin(nowMs: number): void {
    this.#admit();
    const next = this.#decoding.peek();
    if (this.#prefilling.length > 0) this.#beginPrefill(nowMs);
    else if (next) this.#beginDecode(next.endsAtToken - this.#tokenCounter, nowMs);
  }

  #admit(): void {
    for (let job = this.#waiting[0]; job; job = this.#waiting[0]) {
      const running = this.#prefilling.length + this.#decoding.size;
      if (running >= this.profile.maxRunningRequests) return;
      const { request } = job;
      const needed = this.cache.unlockedTokens(request.blocks, tokensOf(request)) + RESERVED_OUTPUT_TOKENS;
      const taken = this.cache.lockedTokens + this.#reservedTokens();
      // one that would not fit an empty cache is let in alone rather than never
      if (taken + needed > this.profile.kvCapacityTokens && running > 0) return;
      this.#waiting.shift();
      const cachedTokens = this.#cachedTokens(request);
      this.cache.lock(request.blocks, tokensOf(request));
      this.cache.evictTo(this.profile.kvCapacityTokens - this.#privateTokens());
      const prefillLeft = request.promptTokens - cachedTokens;
      this.#prefilling.push({ ...job, cachedTokens, prefillLeft, endsAtToken: 0, startedAtToken: 0 });
    }
  }

  /** The last token is never taken from the cache: the engine needs one to sample from. */
  #cachedTokens(request: TraceRequest): number {
    return Math.min(this.cache.match(request.blocks) * BLOCK_TOKENS, request.promptTokens - 1);
  }

  #beginPrefill(nowMs: number): void {
    const { chunkedPrefillTokens, prefillBaseMs, prefillTokensPerSecond } = this.profile;
    let budget = chunkedPrefillTokens;
    const done: RunningRequest[] = [];
    for (const job of this.#prefilling) {
      const chunk = Math.min(budget, job.prefillLeft);
      budget -= chunk;
      job.prefillLeft -= chunk;
      if (job.prefillLeft === 0) done.push(job);
      if (budget === 0) break;
    }
    const ms = prefillBaseMs + ((chunkedPrefillTokens - budget) / prefillTokensPerSecond) * 1_000;
    this.#pass = { kind: 'prefill', endsAtMs: nowMs + ms, done };
  }

  #endPrefill(done: readonly RunningRequest[], nowMs: number): void {
    if (done.length === 0) return;
    this.#prefilling = this.#prefilling.filter((job) => !done.includes(job));
    for (const job of done) {
      this.cache.ready(job.request.blocks);
      job.onFirstToken(nowMs, job.cachedTokens);
      this.#generated += 1;
      if (job.request.outputTokens <= 1) {
        this.#finish(job, nowMs);
        continue;
      }
      job.startedAtToken = this.#tokenCounter - 1;
      job.endsAtToken = this.#tokenCounter + job.request.outputTokens - 1;
      this.#startedSum += job.startedAtToken;
      this.#decoding.push(job);
    }
  }

  #beginDecode(steps: number, nowMs: number): void {
    const { stepMs } = this;
    this.#pass = { kind: 'decode', startedAtMs: nowMs, stepMs, steps, endsAtMs: nowMs + steps * stepMs };
  }

  /** Someone came: the run of steps ends with the one under way. */
  #interrupt(pass: Extract<Pass, { kind: 'decode' }>, nowMs: number): void {
    const steps = Math.max(1, Math.ceil((nowMs - pass.startedAtMs) / pass.stepMs));
    if (steps >= pass.steps) return;
    this.#pass = { ...pass, steps, endsAtMs: pass.startedAtMs + steps * pass.stepMs };
  }

  #endDecode(steps: number, nowMs: number): void {
    this.#tokenCounter += steps;
    this.#generated += steps * this.#decoding.size;
    for (;;) {
      const job = this.#decoding.peek();
      if (!job || job.endsAtToken > this.#tokenCounter) break;
      this.#decoding.pop();
      this.#startedSum -= job.startedAtToken;
      this.#finish(job, nowMs);
    }
    this.cache.evictTo(this.profile.kvCapacityTokens - this.#privateTokens());
  }

  #finish(job: RunningRequest, nowMs: number): void {
    this.cache.unlock(job.request.blocks);
    job.onEnd(nowMs);
  }

  #underWay(nowMs: number): number {
    const pass = this.#pass;
    if (pass?.kind !== 'decode') return 0;
    return Math.floor((nowMs - pass.startedAtMs) / pass.stepMs) * this.#decoding.size;
  }

  /** generated tokens of running requests */
  #privateTokens(): number {
    return this.#tokenCounter * this.#decoding.size - this.#startedSum;
  }

  #reservedTokens(): number {
    const running = this.#prefilling.length + this.#decoding.size;
    return Math.max(this.#privateTokens(), running * RESERVED_OUTPUT_TOKENS);
  }
}

function tokensOf({ blocks, promptTokens }: TraceRequest): (at: number) => number {
  return (at) =>
    at === blocks.length - 1 ? promptTokens - (blocks.length - 1) * BLOCK_TOKENS : BLOCK_TOKENS;
}
