/**
 * An engine in virtual time: continuous batching as gpu-pool/emulator does it (prefill first and in chunks, then a
 * token for every running sequence a step) with the same hardware profiles. It computes whole runs of equal steps
 * at once, so that an hour of sixteen nodes takes seconds.
 */
import type { Profile } from '../emulator/profiles.ts';
import type { NodeLoad } from '../protocol/schemas.ts';
import { BlockCache } from './block-cache.ts';
import { MinHeap } from './min-heap.ts';
import { BLOCK_TOKENS, type TraceRequest } from './trace.ts';

/**
 * SGLang reserves KV cache for the output that it expects, but at most this much (CLIP_MAX_NEW_TOKENS_ESTIMATION).
 */
const RESERVED_OUTPUT_TOKENS = 4_096;

export interface SimEngineRequest {
  readonly request: TraceRequest;
  /** Called once, when the first token is generated. */
  readonly onFirstToken: (atMs: number, cachedTokens: number) => void;
  readonly onEnd: (atMs: number) => void;
  /** Called when the host died before the end. */
  readonly onLost: () => void;
}

interface RunningRequest extends SimEngineRequest {
  cachedTokens: number;
  prefillLeft: number;
  /** Value of the engine's token counter at which the last token comes. */
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
  readonly #decoding = new MinHeap<RunningRequest>((engineRequest) => engineRequest.endsAtToken);
  /** Number of tokens that a sequence running since the beginning would have. */
  #tokenCounter = 0;
  #pass: Pass | null = null;
  /**
   * Sum of `startedAtToken` over the decoding requests. They have generated (#tokenCounter × count − #startedSum)
   * tokens.
   */
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

  submit(engineRequest: SimEngineRequest, nowMs: number): 'accepted' | 'queue_full' {
    if (this.#waiting.length >= this.#queuedMax) return 'queue_full';
    this.#waiting.push(engineRequest);
    if (this.#pass === null) this.#beginPass(nowMs);
    else if (this.#pass.kind === 'decode') this.#interrupt(this.#pass, nowMs);
    return 'accepted';
  }

  /** Ends the pass that is due. */
  advance(nowMs: number): void {
    const pass = this.#pass!;
    this.#pass = null;
    if (pass.kind === 'prefill') this.#endPrefill(pass.done, nowMs);
    else this.#endDecode(pass.steps, nowMs);
    this.#beginPass(nowMs);
  }

  /** Waiting and running requests. */
  get requests(): SimEngineRequest[] {
    return [...this.#waiting, ...this.#prefilling, ...this.#decoding.items];
  }

  load(nowMs: number): NodeLoad {
    let waitingTokens = this.#prefilling.reduce((sum, engineRequest) => sum + engineRequest.prefillLeft, 0);
    for (const { request } of this.#waiting)
      waitingTokens += request.promptTokens - this.#cachedTokens(request);
    const before = this.#generatedBefore;
    const generated = this.#generated + this.#tokensOfCurrentPass(nowMs);
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

  #beginPass(nowMs: number): void {
    this.#admit();
    const next = this.#decoding.peek();
    if (this.#prefilling.length > 0) this.#beginPrefill(nowMs);
    else if (next) this.#beginDecode(next.endsAtToken - this.#tokenCounter, nowMs);
  }

  #admit(): void {
    for (let engineRequest = this.#waiting[0]; engineRequest; engineRequest = this.#waiting[0]) {
      const running = this.#prefilling.length + this.#decoding.size;
      if (running >= this.profile.maxRunningRequests) return;
      const { request } = engineRequest;
      const needed = this.cache.unlockedTokens(request.blocks, tokensOf(request)) + RESERVED_OUTPUT_TOKENS;
      const occupied = this.cache.lockedTokens + this.#reservedTokens();
      // A request that would not fit an empty cache is admitted alone rather than never.
      if (occupied + needed > this.profile.kvCapacityTokens && running > 0) return;
      this.#waiting.shift();
      const cachedTokens = this.#cachedTokens(request);
      this.cache.lock(request.blocks, tokensOf(request));
      this.cache.evictTo(this.profile.kvCapacityTokens - this.#privateTokens());
      const prefillLeft = request.promptTokens - cachedTokens;
      this.#prefilling.push({
        ...engineRequest,
        cachedTokens,
        prefillLeft,
        endsAtToken: 0,
        startedAtToken: 0,
      });
    }
  }

  /**
   * Cached tokens of a prompt. The last token is never taken from the cache: the engine needs one to sample from.
   */
  #cachedTokens(request: TraceRequest): number {
    return Math.min(this.cache.match(request.blocks) * BLOCK_TOKENS, request.promptTokens - 1);
  }

  #beginPrefill(nowMs: number): void {
    const { chunkedPrefillTokens, prefillBaseMs, prefillTokensPerSecond } = this.profile;
    let budget = chunkedPrefillTokens;
    const done: RunningRequest[] = [];
    for (const engineRequest of this.#prefilling) {
      const chunk = Math.min(budget, engineRequest.prefillLeft);
      budget -= chunk;
      engineRequest.prefillLeft -= chunk;
      if (engineRequest.prefillLeft === 0) done.push(engineRequest);
      if (budget === 0) break;
    }
    const ms = prefillBaseMs + ((chunkedPrefillTokens - budget) / prefillTokensPerSecond) * 1_000;
    this.#pass = { kind: 'prefill', endsAtMs: nowMs + ms, done };
  }

  #endPrefill(done: readonly RunningRequest[], nowMs: number): void {
    if (done.length === 0) return;
    this.#prefilling = this.#prefilling.filter((engineRequest) => !done.includes(engineRequest));
    for (const engineRequest of done) {
      this.cache.ready(engineRequest.request.blocks);
      engineRequest.onFirstToken(nowMs, engineRequest.cachedTokens);
      this.#generated += 1;
      if (engineRequest.request.outputTokens <= 1) {
        this.#finish(engineRequest, nowMs);
        continue;
      }
      engineRequest.startedAtToken = this.#tokenCounter - 1;
      engineRequest.endsAtToken = this.#tokenCounter + engineRequest.request.outputTokens - 1;
      this.#startedSum += engineRequest.startedAtToken;
      this.#decoding.push(engineRequest);
    }
  }

  #beginDecode(steps: number, nowMs: number): void {
    const { stepMs } = this;
    this.#pass = { kind: 'decode', startedAtMs: nowMs, stepMs, steps, endsAtMs: nowMs + steps * stepMs };
  }

  /** A request arrived: the run of steps ends with the one under way. */
  #interrupt(pass: Extract<Pass, { kind: 'decode' }>, nowMs: number): void {
    const steps = Math.max(1, Math.ceil((nowMs - pass.startedAtMs) / pass.stepMs));
    if (steps >= pass.steps) return;
    this.#pass = { ...pass, steps, endsAtMs: pass.startedAtMs + steps * pass.stepMs };
  }

  #endDecode(steps: number, nowMs: number): void {
    this.#tokenCounter += steps;
    this.#generated += steps * this.#decoding.size;
    for (;;) {
      const engineRequest = this.#decoding.peek();
      if (!engineRequest || engineRequest.endsAtToken > this.#tokenCounter) break;
      this.#decoding.pop();
      this.#startedSum -= engineRequest.startedAtToken;
      this.#finish(engineRequest, nowMs);
    }
    this.cache.evictTo(this.profile.kvCapacityTokens - this.#privateTokens());
  }

  #finish(engineRequest: RunningRequest, nowMs: number): void {
    this.cache.unlock(engineRequest.request.blocks);
    engineRequest.onEnd(nowMs);
  }

  #tokensOfCurrentPass(nowMs: number): number {
    const pass = this.#pass;
    if (pass?.kind !== 'decode') return 0;
    return Math.floor((nowMs - pass.startedAtMs) / pass.stepMs) * this.#decoding.size;
  }

  /** Generated tokens of running requests. */
  #privateTokens(): number {
    return this.#tokenCounter * this.#decoding.size - this.#startedSum;
  }

  #reservedTokens(): number {
    const running = this.#prefilling.length + this.#decoding.size;
    return Math.max(this.#privateTokens(), running * RESERVED_OUTPUT_TOKENS);
  }
}

function tokensOf({ blocks, promptTokens }: TraceRequest): (index: number) => number {
  return (index) =>
    index === blocks.length - 1 ? promptTokens - (blocks.length - 1) * BLOCK_TOKENS : BLOCK_TOKENS;
}
