/**
 * The scheduler: continuous batching over one KV cache. Prefill goes first and in chunks, then every running
 * sequence gets one token a step. It knows tokens and time, and nothing of HTTP.
 */
import assert from 'node:assert/strict';
import type { Clock } from './clock.ts';
import type { FaultKind } from './faults.ts';
import {
  choiceCounts,
  endLine,
  finishesOf,
  type Job,
  type JobSpec,
  newJob,
  privateTokens,
  reservedTokens,
  totalsOf,
} from './job.ts';
import type { EngineLog } from './log.ts';
import type { Profile } from './profiles.ts';
import { type CacheNode, RadixCache } from './radix-cache.ts';
import { EngineStats } from './stats.ts';

/** How long the engine goes on for a client that has gone (tokenizer_manager.py polls for a disconnect). */
export const DISCONNECT_NOTICE_MS = { streaming: 2_000, notStreaming: 4_000 } as const;
/** Behind its clock by more than this, the scheduler gives the lost time up instead of racing after it. */
const LAG_MS_MAX = 1_000;

/** `--priority-scheduling-preemption-threshold`, its default. */
const PREEMPTION_THRESHOLD = 10;

export class Engine {
  readonly stats = new EngineStats();
  readonly cache: RadixCache;
  readonly profile: Profile;
  #clock: Clock;
  #log: EngineLog;
  #queuedMax: number;
  #waiting: Job[] = [];
  #running: Job[] = [];
  #cursorMs = 0;
  #wake: (() => void) | null = null;
  #closed = false;

  constructor(options: {
    profile: Profile;
    clock: Clock;
    log: EngineLog;
    queuedMax: number;
    /** true unless told otherwise */
    radixCache?: boolean;
  }) {
    this.profile = options.profile;
    this.cache = new RadixCache({ enabled: options.radixCache ?? true });
    this.#clock = options.clock;
    this.#log = options.log;
    this.#queuedMax = options.queuedMax;
    void this.#loop();
  }

  /** Takes a job into the queue, or says why not. */
  submit(spec: JobSpec): 'accepted' | 'queue_full' | 'duplicate_rid' {
    if (this.#jobs().some((job) => job.rid === spec.rid)) return 'duplicate_rid';
    // SGLang counts the waiting queue alone, so a burst can be refused while slots are free (scheduler.py).
    if (this.#waiting.length >= this.#queuedMax) return 'queue_full';
    // by priority, then as they came (schedule_policy.py, `--enable-priority-scheduling`)
    const behind = this.#waiting.findIndex(({ priority }) => priority < spec.priority);
    const job = newJob(spec, this.#clock.nowMs());
    this.#waiting.splice(behind === -1 ? this.#waiting.length : behind, 0, job);
    this.#wake?.();
    return 'accepted';
  }

  /** Stops at the next step every request whose rid *begins* with `rid` (scheduler.py, `abort_request`). */
  abort({ rid, abortAll = false }: { rid: string; abortAll?: boolean }): void {
    for (const job of this.#jobs()) if (abortAll || job.rid.startsWith(rid)) job.aborted = true;
  }

  /** The client's connection is gone. The engine learns of it later, see `DISCONNECT_NOTICE_MS`. */
  clientLeft(rid: string): void {
    const job = this.#jobs().find((candidate) => candidate.rid === rid);
    if (job) job.leftAtMs ??= this.#clock.nowMs();
  }

  /** Puts on record that scripted faults struck a request, before they do. */
  noteStruck(rid: string, faults: FaultKind[]): void {
    this.#log.write({ t: this.#now(), struck: rid, faults });
  }

  get load() {
    const waitingTokens = this.#waiting.reduce(
      (sum, job) => sum + job.prompt.length - this.cache.match(job.cacheKey, job.prompt).depthTokens,
      0,
    );
    return {
      runningRequests: this.#runningSequences(),
      waitingRequests: this.#waiting.length,
      waitingTokens,
      usedTokens: this.cache.lockedTokens + this.#privateTokens(),
    };
  }

  /** Ends the loop; jobs in hand get no further callback. */
  close(): void {
    this.#closed = true;
    this.#wake?.();
  }

  async #loop(): Promise<void> {
    while (!this.#closed) {
      this.#dropAborted();
      this.#admit();
      const prefilling = this.#running.filter((job) => job.phase === 'prefill');
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
    for (const job of this.#jobs()) {
      const noticeMs = DISCONNECT_NOTICE_MS[job.streaming ? 'streaming' : 'notStreaming'];
      const leaverNoticed = job.leftAtMs !== null && nowMs - job.leftAtMs >= noticeMs;
      if (job.ignoreAbort || !(job.aborted || leaverNoticed)) continue;
      this.stats.abortedRequests += 1;
      this.#finish(job, 'abort');
      job.onEnd(finishesOf(job), totalsOf(job));
    }
  }

  #admit(): void {
    for (;;) {
      const job = this.#waiting[0];
      if (!job) return;
      if (
        this.#runningSequences() + job.choices.length > this.profile.maxRunningRequests &&
        this.#running.length
      ) {
        if (!this.#retractFor(job)) return;
        continue;
      }
      const node = this.cache.match(job.cacheKey, job.prompt);
      const needed = job.prompt.length - node.depthTokens + reservedTokens(job);
      const taken =
        this.cache.lockedTokens +
        this.#privateTokens() +
        this.#running.reduce((sum, j) => sum + reservedTokens(j), 0);
      // One that would not fit an empty cache is let in alone rather than never.
      if (taken + needed > this.profile.kvCapacityTokens && this.#running.length > 0) {
        if (!this.#retractFor(job)) return;
        continue;
      }
      this.#waiting.shift();
      this.cache.lock(node);
      const again = job.lastTokenMs !== null;
      const cachedTokens = again ? job.cachedTokens : node.depthTokens;
      const known = job.prompt.length + job.produced.reduce((sum, each) => sum + each, 0);
      Object.assign(job, { phase: 'prefill', node, cachedTokens, prefillLeft: known - node.depthTokens });
      this.#running.push(job);
      if (again) continue;
      this.stats.admitted({ promptTokens: job.prompt.length, cachedTokens });
      this.#log.write({
        t: this.#now(),
        start: job.rid,
        prompt_tokens: job.prompt.length,
        cached_tokens: cachedTokens,
      });
    }
  }

  /** Sends the least of the running back to the queue, with what it has generated, if it is less by the threshold. */
  #retractFor(job: Job): boolean {
    const least = this.#running.reduce((lowest, each) => (each.priority < lowest.priority ? each : lowest));
    if (job.priority - least.priority < PREEMPTION_THRESHOLD) return false;
    this.#running = this.#running.filter((other) => other !== least);
    if (least.node) this.cache.unlock(least.node);
    Object.assign(least, { phase: 'waiting', node: null, prefillLeft: 0 });
    this.#waiting.push(least);
    return true;
  }

  /** One chunk of prefill. While it runs nothing decodes (SGLang's default, without mixed chunks). */
  async #prefill(prefilling: Job[]): Promise<void> {
    let budget = this.profile.chunkedPrefillTokens;
    const done: Job[] = [];
    for (const job of prefilling) {
      const chunk = Math.min(budget, job.prefillLeft);
      budget -= chunk;
      job.prefillLeft -= chunk;
      if (job.prefillLeft === 0) done.push(job);
      if (budget === 0) break;
    }
    const chunkTokens = this.profile.chunkedPrefillTokens - budget;
    await this.#pass(
      this.profile.prefillBaseMs + (chunkTokens / this.profile.prefillTokensPerSecond) * 1_000,
    );
    for (const job of done) {
      job.phase = 'decode';
      // Others with the same prefix profit from now on, not only when this request has ended.
      this.#moveLock(job, this.cache.insert(job.cacheKey, job.prompt));
    }
    // The last chunk of a prompt yields the first token.
    this.#produce(done);
  }

  async #decode(): Promise<void> {
    const { decodeBaseMs, decodePerSequenceMs } = this.profile;
    await this.#pass(decodeBaseMs + decodePerSequenceMs * this.#runningSequences());
    this.#produce(this.#running);
  }

  async #pass(ms: number): Promise<void> {
    this.#cursorMs = Math.max(this.#cursorMs, this.#clock.nowMs() - LAG_MS_MAX) + ms;
    if (this.stats.isIdle) this.#cursorMs = this.#clock.nowMs() + ms;
    this.stats.busy();
    await this.#clock.sleepUntil(this.#cursorMs);
  }

  /** Gives every unfinished choice of `jobs` its next token: first in the counts, then in the log, then out. */
  #produce(jobs: Job[]): void {
    if (this.#closed || jobs.length === 0) return;
    const outgoing: Array<() => void> = [];
    const step: Record<string, [number, number]> = {};
    const ended: Job[] = [];
    const nowMs = this.#clock.nowMs();
    let tokens = 0;
    for (const job of jobs) {
      for (const [choice, plan] of job.choices.entries()) {
        const token = plan.tokens[job.produced[choice]!];
        if (!token) continue;
        job.produced[choice]! += 1;
        if (token.reasoning) job.reasoned[choice]! += 1;
        tokens += 1;
        const counts = choiceCounts(job, choice);
        outgoing.push(() => job.onToken(choice, token, counts));
      }
      const { completionTokens, reasoningTokens } = totalsOf(job);
      step[job.rid] = [completionTokens, reasoningTokens];
      this.stats.token({
        sinceMs: nowMs - (job.lastTokenMs ?? job.submittedMs),
        first: job.lastTokenMs === null,
      });
      job.lastTokenMs = nowMs;
      if (job.choices.every((plan, choice) => job.produced[choice] === plan.tokens.length)) ended.push(job);
    }
    this.stats.step({ tokens, nowMs });
    this.#log.write({ t: this.#now(), step });
    for (const job of ended) {
      this.#finish(job, 'done');
      outgoing.push(() => job.onEnd(finishesOf(job), totalsOf(job)));
    }
    this.cache.evictTo(this.profile.kvCapacityTokens - this.#privateTokens());
    for (const send of outgoing) send();
  }

  #finish(job: Job, how: 'done' | 'abort'): void {
    this.#waiting = this.#waiting.filter((other) => other !== job);
    this.#running = this.#running.filter((other) => other !== job);
    if (job.node && job.phase === 'decode') {
      // Generated tokens are cached too, also those of an aborted request (`cache_finished_req`).
      for (const [choice, plan] of job.choices.entries()) {
        const generated = plan.tokens.slice(0, job.produced[choice]).map((token) => token.text);
        this.cache.insert(job.cacheKey, job.prompt.concat(generated));
      }
    }
    if (job.node) this.cache.unlock(job.node);
    this.stats.finished();
    this.#log.write(endLine(job, { t: this.#now(), aborted: how === 'abort' }));
  }

  #moveLock(job: Job, node: CacheNode): void {
    assert(job.node, 'an admitted job has a place in the cache');
    this.cache.lock(node);
    this.cache.unlock(job.node);
    job.node = node;
  }

  /** KV tokens of running requests that are not (yet) part of the tree. */
  #privateTokens(): number {
    return this.#running.reduce((total, job) => total + privateTokens(job), 0);
  }

  #runningSequences(): number {
    return this.#running.reduce((total, job) => total + job.choices.length, 0);
  }

  #jobs(): Job[] {
    return [...this.#waiting, ...this.#running];
  }

  #now(): number {
    return Math.round(this.#clock.nowMs());
  }
}
