/**
 * The scheduler: continuous batching over one KV cache. Prefill goes first and in chunks, then every running
 * sequence gets one token a step. It deals in tokens and time, and knows nothing of HTTP.
 */
import assert from 'node:assert/strict';
import type { Clock } from './clock.ts';
import {
  countsOfChoice,
  type EngineRequest,
  type EngineRequestSpec,
  endLine,
  finishesOf,
  isOver,
  newEngineRequest,
  openChoices,
  privateTokens,
  reservedTokens,
  totalCounts,
} from './engine-request.ts';
import type { FaultKind } from './faults.ts';
import type { EngineLog } from './log.ts';
import type { Profile } from './profiles.ts';
import { type CacheNode, RadixCache } from './radix-cache.ts';
import { EngineStats } from './stats.ts';

/**
 * How long a disconnect goes unnoticed while nothing is sent: before the first token, and all the time without streaming
 * (tokenizer_manager.py, `_REQUEST_STATE_WAIT_TIMEOUT`). Once a stream has begun, closing it aborts the request at once.
 */
export const DISCONNECT_NOTICE_MS = 4_000;
/** A scheduler that lags behind its clock by more than this drops the lost time instead of catching up. */
const LAG_MS_MAX = 1_000;

/** How priorities are used, as SGLang's arguments say. */
export interface PriorityScheduling {
  /** `--enable-priority-scheduling`; without it all requests are equal. */
  enabled: boolean;
  /** `--priority-scheduling-preemption-threshold` */
  preemptionThreshold: number;
  /** `--schedule-low-priority-values-first` */
  lowFirst: boolean;
}

/** Decode steps between two snapshots (`--load-snapshot-publish-interval`). */
const PUBLISH_STEPS = 15;

export interface EngineLoad {
  runningRequests: number;
  waitingRequests: number;
  waitingTokens: number;
  usedTokens: number;
}

export interface Snapshot extends EngineLoad {
  /** Real time, whatever the engine's speed. */
  atMs: number;
  /** Prompt tokens prefilled since the start, and the engine time that took. */
  prefilled: { tokens: number; microseconds: number };
}

export const PRIORITIES_IGNORED: PriorityScheduling = {
  enabled: false,
  preemptionThreshold: 10,
  lowFirst: false,
};

export class Engine {
  readonly stats = new EngineStats();
  readonly cache: RadixCache;
  readonly profile: Profile;
  #clock: Clock;
  #log: EngineLog;
  #queuedMax: number;
  #priorities: PriorityScheduling;
  #waiting: EngineRequest[] = [];
  #running: EngineRequest[] = [];
  #stepEndMs = 0;
  #wake: (() => void) | null = null;
  #closed = false;
  /** Ends the freeze of the scheduler; null: it runs. */
  #thaw: (() => void) | null = null;
  #thawed: Promise<void> = Promise.resolve();
  #published: Snapshot;
  #decodeSteps = 0;
  /** Real time of the last tokens. */
  #sentAtMs = 0;
  #prefilled = { tokens: 0, microseconds: 0 };

  constructor(options: {
    profile: Profile;
    clock: Clock;
    log: EngineLog;
    queuedMax: number;
    priorities?: PriorityScheduling;
    /** Default: true. */
    radixCache?: boolean;
    /** Tokens of a page of the cache. */
    pageTokens?: number;
  }) {
    this.profile = options.profile;
    this.cache = new RadixCache({ enabled: options.radixCache, pageTokens: options.pageTokens });
    this.#clock = options.clock;
    this.#log = options.log;
    this.#queuedMax = options.queuedMax;
    this.#priorities = options.priorities ?? PRIORITIES_IGNORED;
    this.#published = this.#snapshotNow();
    void this.#loop();
  }

  /** Takes a request into the queue, or returns why not. */
  submit(spec: EngineRequestSpec): 'accepted' | 'queue_full' | 'duplicate_rid' {
    if (this.#requests().some((request) => request.rid === spec.rid)) return 'duplicate_rid';
    const rank = this.#rank(spec.priority);
    if (!this.#makeRoom(spec.choices.length, rank)) return 'queue_full';
    // The queue is ordered by priority, then by arrival (schedule_policy.py, `--enable-priority-scheduling`).
    const request = newEngineRequest({ ...spec, priority: rank }, this.#clock.nowMs());
    const insertAt = this.#waiting.findIndex(({ priority }) => priority < request.priority);
    this.#waiting.splice(insertAt === -1 ? this.#waiting.length : insertAt, 0, request);
    this.#wake?.();
    return 'accepted';
  }

  /**
   * Whether so many choices fit into the queue. SGLang counts the waiting queue alone, so a burst can be refused while
   * slots are free. A waiting request of a lower priority gives up its place, the newest first (scheduler.py,
   * `_abort_on_queued_limit`).
   */
  #makeRoom(choices: number, rank: number): boolean {
    while (this.#waitingSequences() + choices > this.#queuedMax) {
      const least = this.#waiting.at(-1);
      if (least === undefined || least.priority >= rank) return false;
      this.stats.abortedRequests += 1;
      this.#finish(least, 'abort');
      least.onEvicted();
    }
    return true;
  }

  /** A priority such that the higher runs first. */
  #rank(priority: number): number {
    const { enabled, lowFirst } = this.#priorities;
    if (!enabled) return 0;
    return lowFirst ? -priority : priority;
  }

  /**
   * Stops the choice with this id at the next step. An id that no choice has is dropped, that of a request with several
   * choices included (tokenizer_manager.py, `abort_request`).
   */
  abort({ rid, abortAll = false }: { rid: string; abortAll?: boolean }): void {
    for (const { choiceIds, abortedChoices, ignoreAbort } of this.#requests()) {
      if (ignoreAbort) continue;
      for (const [choice, id] of choiceIds.entries()) if (abortAll || id === rid) abortedChoices.add(choice);
    }
  }

  /** The client's connection is closed. The engine notices that later, see `DISCONNECT_NOTICE_MS`. */
  clientDisconnected(rid: string): void {
    const request = this.#requests().find((candidate) => candidate.rid === rid);
    if (request) request.disconnectedAtMs ??= this.#clock.nowMs();
  }

  /** Logs which scripted faults will strike a request, before they do. */
  logFaults(rid: string, faults: FaultKind[]): void {
    this.#log.write({ t: this.#now(), struck: rid, faults });
  }

  /**
   * The load as the scheduler published it last: all the time while it is idle, at the end of each prefill step, and every
   * 15 decode steps (scheduler.py, `publish_load_snapshot`).
   */
  get snapshot(): Snapshot {
    if (this.stats.isIdle && this.#thaw === null) this.#publish();
    return this.#published;
  }

  /** Stops the scheduler where it is, as SIGSTOP would, until `thaw`. The HTTP server goes on. */
  freeze(): void {
    if (this.#thaw !== null) return;
    // The snapshots that an idle scheduler published until now.
    void this.snapshot;
    this.#thawed = new Promise((resolve) => {
      this.#thaw = resolve;
    });
  }

  thaw(): void {
    this.#thaw?.();
    this.#thaw = null;
  }

  /** Whether the scheduler has sent anything since a time, or would answer a request at once. */
  hasAnsweredSince(ms: number): boolean {
    return (this.stats.isIdle && this.#thaw === null) || this.#sentAtMs > ms;
  }

  #publish(): void {
    this.#decodeSteps = 0;
    this.#published = this.#snapshotNow();
  }

  #snapshotNow(): Snapshot {
    return { ...this.load, atMs: Date.now(), prefilled: { ...this.#prefilled } };
  }

  get load(): EngineLoad {
    const waitingTokens = this.#waiting.reduce(
      (sum, request) =>
        sum + request.prompt.length - this.cache.match(request.cacheKey, request.prompt).depthTokens,
      0,
    );
    return {
      runningRequests: this.#runningSequences(),
      waitingRequests: this.#waitingSequences(),
      waitingTokens,
      usedTokens: this.cache.lockedTokens + this.#privateTokens(),
    };
  }

  /** Ends the loop; requests under way get no further callback. */
  close(): void {
    this.#closed = true;
    this.thaw();
    this.#wake?.();
  }

  async #loop(): Promise<void> {
    while (!this.#closed) {
      await this.#thawed;
      this.#dropAborted();
      this.#admit();
      const prefilling = this.#running.filter((request) => request.phase === 'prefill');
      if (prefilling.length > 0) await this.#prefill(prefilling);
      else if (this.#running.length > 0) await this.#decode();
      else await this.#idle();
    }
  }

  #idle(): Promise<void> {
    this.stats.idle();
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  #dropAborted(): void {
    const nowMs = this.#clock.nowMs();
    for (const request of this.#requests()) {
      const noticeMs = request.streaming && request.lastTokenMs !== null ? 0 : DISCONNECT_NOTICE_MS;
      const disconnectNoticed =
        request.disconnectedAtMs !== null && nowMs - request.disconnectedAtMs >= noticeMs;
      if (request.ignoreAbort || !(isOver(request) || disconnectNoticed)) continue;
      this.stats.abortedRequests += 1;
      this.#finish(request, 'abort');
      request.onEnd(finishesOf(request), totalCounts(request));
    }
  }

  #admit(): void {
    for (;;) {
      const request = this.#waiting[0];
      if (!request) return;
      if (
        this.#runningSequences() + request.choices.length > this.profile.maxRunningRequests &&
        this.#running.length
      ) {
        if (!this.#retractFor(request)) return;
        continue;
      }
      const node = this.cache.match(request.cacheKey, request.prompt);
      const needed = request.prompt.length - node.depthTokens + reservedTokens(request);
      const occupied =
        this.cache.lockedTokens +
        this.#privateTokens() +
        this.#running.reduce((sum, running) => sum + reservedTokens(running), 0);
      // A request that would not fit an empty cache is admitted alone rather than never.
      if (occupied + needed > this.profile.kvCapacityTokens && this.#running.length > 0) {
        if (!this.#retractFor(request)) return;
        continue;
      }
      this.#waiting.shift();
      this.cache.lock(node);
      const resumed = request.lastTokenMs !== null;
      const cachedTokens = resumed ? request.cachedTokens : this.#cachedFor(request, node);
      const knownTokens = request.prompt.length + request.produced.reduce((sum, each) => sum + each, 0);
      Object.assign(request, {
        phase: 'prefill',
        cacheNode: node,
        cachedTokens,
        prefillLeft: knownTokens - node.depthTokens,
      });
      this.#running.push(request);
      if (resumed) continue;
      this.#countPrompt(request, node);
      this.#log.write({
        t: this.#now(),
        start: request.rid,
        prompt_tokens: request.prompt.length,
        cached_tokens: cachedTokens,
      });
    }
  }

  /**
   * The cached tokens that a choice reports. Before several choices the engine passes over the prompt once to fill its cache, so
   * each finds its whole prompt there (tokenizer_manager.py, `_handle_batch_request`).
   */
  #cachedFor({ choices, prompt }: EngineRequest, found: CacheNode): number {
    return choices.length === 1 ? found.depthTokens : this.cache.depthOnceFilled(prompt);
  }

  /** Counts the prompt for each choice, and for the pass before several. */
  #countPrompt(request: EngineRequest, found: CacheNode): void {
    const promptTokens = request.prompt.length;
    const cachedTokens = this.#cachedFor(request, found);
    for (const _ of request.choices) this.stats.admitted({ promptTokens, cachedTokens });
    if (request.choices.length > 1) this.stats.admitted({ promptTokens, cachedTokens: found.depthTokens });
  }

  /**
   * Moves the running request of the lowest priority back to the queue, with what it has generated, if `request` is
   * higher by more than the threshold (schedule_policy.py, `preempt_to_schedule`). Of equal ones the newest gives way.
   */
  #retractFor(request: EngineRequest): boolean {
    const least = this.#running.reduce((lowest, each) => (each.priority <= lowest.priority ? each : lowest));
    const { enabled, preemptionThreshold } = this.#priorities;
    if (!enabled || request.priority - least.priority <= preemptionThreshold) return false;
    this.#running = this.#running.filter((other) => other !== least);
    if (least.cacheNode) this.cache.unlock(least.cacheNode);
    Object.assign(least, { phase: 'waiting', cacheNode: null, prefillLeft: 0 });
    this.#waiting.push(least);
    return true;
  }

  /** Runs one chunk of prefill. Meanwhile nothing decodes (SGLang's default, without mixed chunks). */
  async #prefill(prefilling: EngineRequest[]): Promise<void> {
    let budget = this.profile.chunkedPrefillTokens;
    const done: EngineRequest[] = [];
    for (const request of prefilling) {
      const chunk = Math.min(budget, request.prefillLeft);
      budget -= chunk;
      request.prefillLeft -= chunk;
      if (request.prefillLeft === 0) done.push(request);
      if (budget === 0) break;
    }
    const chunkTokens = this.profile.chunkedPrefillTokens - budget;
    const ms = this.profile.prefillBaseMs + (chunkTokens / this.profile.prefillTokensPerSecond) * 1_000;
    await this.#sleep(ms);
    this.#publish();
    // The counters lag behind the snapshot by a step (scheduler.py, `process_batch_result`).
    this.#prefilled.tokens += chunkTokens;
    this.#prefilled.microseconds += Math.round(ms * 1_000);
    for (const request of done) {
      request.phase = 'decode';
      // Other requests with the same prefix can use it from now on, not only when this request has ended.
      this.#moveLock(request, this.cache.insert(request.cacheKey, request.prompt));
    }
    // The last chunk of a prompt yields the first token.
    this.#produce(done);
  }

  async #decode(): Promise<void> {
    const { decodeBaseMs, decodePerSequenceMs } = this.profile;
    await this.#sleep(decodeBaseMs + decodePerSequenceMs * this.#runningSequences());
    this.#decodeSteps += 1;
    if (this.#decodeSteps >= PUBLISH_STEPS) this.#publish();
    this.#produce(this.#running);
  }

  async #sleep(ms: number): Promise<void> {
    this.#stepEndMs = Math.max(this.#stepEndMs, this.#clock.nowMs() - LAG_MS_MAX) + ms;
    if (this.stats.isIdle) this.#stepEndMs = this.#clock.nowMs() + ms;
    this.stats.busy();
    await this.#clock.sleepUntil(this.#stepEndMs);
    await this.#thawed;
  }

  /**
   * Gives every unfinished choice of `requests` its next token: first in the counts, then in the log, then to the
   * callbacks.
   */
  #produce(requests: EngineRequest[]): void {
    if (this.#closed || requests.length === 0) return;
    const outgoing: Array<() => void> = [];
    const step: Record<string, [number, number]> = {};
    const ended: EngineRequest[] = [];
    const nowMs = this.#clock.nowMs();
    let tokens = 0;
    for (const request of requests) {
      for (const [choice, plan] of request.choices.entries()) {
        const token = plan.tokens[request.produced[choice]!];
        if (!token || request.abortedChoices.has(choice)) continue;
        request.produced[choice]! += 1;
        if (token.reasoning) request.reasoningProduced[choice]! += 1;
        tokens += 1;
        const counts = countsOfChoice(request, choice);
        const finish = request.produced[choice] === plan.tokens.length ? plan.finish : null;
        outgoing.push(() => request.onToken(choice, token, counts, finish));
      }
      const { completionTokens, reasoningTokens } = totalCounts(request);
      step[request.rid] = [completionTokens, reasoningTokens];
      this.stats.token({
        sinceMs: nowMs - (request.lastTokenMs ?? request.submittedMs),
        first: request.lastTokenMs === null,
      });
      request.lastTokenMs = nowMs;
      if (request.abortedChoices.size === 0 && isOver(request)) ended.push(request);
    }
    this.#sentAtMs = Date.now();
    this.stats.step({ tokens, nowMs });
    this.#log.write({ t: this.#now(), step });
    for (const request of ended) {
      this.#finish(request, 'done');
      outgoing.push(() => request.onEnd(finishesOf(request), totalCounts(request)));
    }
    this.cache.evictTo(this.profile.kvCapacityTokens - this.#privateTokens());
    for (const send of outgoing) send();
  }

  #finish(request: EngineRequest, how: 'done' | 'abort'): void {
    this.#waiting = this.#waiting.filter((other) => other !== request);
    this.#running = this.#running.filter((other) => other !== request);
    if (request.cacheNode && request.phase === 'decode') {
      // Generated tokens are cached too, also those of an aborted request (`cache_finished_req`).
      for (const [choice, plan] of request.choices.entries()) {
        const generated = plan.tokens.slice(0, request.produced[choice]).map((token) => token.text);
        this.cache.insert(request.cacheKey, request.prompt.concat(generated));
      }
    }
    if (request.cacheNode) this.cache.unlock(request.cacheNode);
    this.stats.finished();
    this.#log.write(endLine(request, { t: this.#now(), aborted: how === 'abort' }));
  }

  #moveLock(request: EngineRequest, node: CacheNode): void {
    assert(request.cacheNode, 'an admitted request has a place in the cache');
    this.cache.lock(node);
    this.cache.unlock(request.cacheNode);
    request.cacheNode = node;
  }

  /** KV tokens of running requests that are not (yet) part of the tree. */
  #privateTokens(): number {
    return this.#running.reduce((total, request) => total + privateTokens(request), 0);
  }

  #runningSequences(): number {
    return this.#running.reduce((total, request) => total + openChoices(request), 0);
  }

  #waitingSequences(): number {
    return this.#waiting.reduce((total, request) => total + request.choices.length, 0);
  }

  #requests(): EngineRequest[] {
    return [...this.#waiting, ...this.#running];
  }

  #now(): number {
    return Math.round(this.#clock.nowMs());
  }
}
