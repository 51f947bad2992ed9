/**
 * Runs the lines of a batch where the pool is idle. Each answer is stored before it is paid for, so after a crash every
 * paid answer is there, and an answer that is missing was not paid for.
 */

import type { PauseReason, StopReason } from '../domain/batch.ts';
import { parseLine } from '../domain/batch-line.ts';
import { newId } from '../domain/ids.ts';
import { idleSlots } from '../domain/routing/idle-slots.ts';
import type { Env } from '../env.ts';
import { WalletHold } from '../gateway/hold/wallet-hold.ts';
import { poolSnapshot } from '../gateway/model-cache.ts';
import type { Principal } from '../http/authenticate.ts';
import { LoggableError } from '../lib/describe-error.ts';
import { dialectOf } from './endpoints.ts';
import { readPart } from './file-parts.ts';
import { NO_MODEL } from './reader.ts';
import { answerLine, faultLine } from './result-line.ts';
import { costOf, type LineOutcome, runLine } from './run-line.ts';
import type { BatchJob, BatchStore, WaitingLine } from './store.ts';

/** Lines that run at once. Their answers are collected in the object's memory of 128 MB. */
const RUNNING_MAX = 64;
/** Lines started in one step for each model. Several batches see the same idle slots, so none takes all of them at once. */
const STARTS_PER_STEP_MAX = 16;
/** Nodes report every two seconds, so lines started within this time are missing from their counts. */
const REPORT_AGE_MS = 2_000;
/** How long a batch pauses when credit or a cap stops it: both change only when a person acts. */
const PAUSE_MS = 30_000;
/** After this many failures, each at up to three nodes, the line itself is taken to be the cause. */
const FAILURES_MAX = 3;
/** Lines ended without being run in one step, so that the step stays short. */
const ENDS_PER_STEP_MAX = 5_000;

/** The error of a line that was never run, by the reason why the batch was stopped. */
const STOP_MESSAGES: Record<StopReason, string> = {
  batch_expired: 'The batch expired before this line started. Nothing was charged for it.',
  batch_cancelled: 'The batch was cancelled before this line started. Nothing was charged for it.',
  key_revoked: 'The batch’s key was revoked or has expired. Nothing was charged for this line.',
  empty_file: 'The input file has no lines.',
  too_many_lines: 'The input file has too many lines, so none was started.',
};

type WaitUntil = (promise: Promise<unknown>) => void;

export class BatchRunner {
  readonly #env: Env;
  readonly #store: BatchStore;
  readonly #waitUntil: WaitUntil;
  /** Called when the last running line has ended, so that the next step need not wait for the alarm. */
  readonly #onIdle: () => void;
  /**
   * Start times of the lines that this instance runs, by line number. Other started lines belong to an instance that
   * died.
   */
  readonly #running = new Map<number, number>();
  /** The input part that was read last: lines are started in order, mostly from one part. */
  #part: { readonly part: number; readonly bytes: Uint8Array } | null = null;

  constructor(env: Env, store: BatchStore, events: { waitUntil: WaitUntil; onIdle: () => void }) {
    this.#env = env;
    this.#store = store;
    this.#waitUntil = events.waitUntil;
    this.#onIdle = events.onIdle;
  }

  /** Whether no line runs and none waits. */
  isDone(): boolean {
    return this.#running.size === 0 && !this.#store.isAnyWaiting() && this.#store.begun().length === 0;
  }

  /**
   * Takes over lines that an instance started before it died: pays for a stored answer, and runs a line without one
   * again.
   */
  async recover(job: BatchJob, nowMs: number): Promise<void> {
    for (const { n, requestId, attempts, kept } of this.#store.begun()) {
      if (this.#running.has(n)) continue;
      if (kept) {
        await new WalletHold(this.#env, kept.settlement).settle(kept.settlement);
        this.#store.end(n, kept.result, { completed: 1, ...costOf(kept.settlement) });
        continue;
      }
      const wallet = this.#env.WALLET.getByName(job.order.accountId);
      await wallet.void({ requestId, nodeId: null, ending: 'not_served' });
      this.#store.wait(n, { attempts, notBeforeMs: nowMs });
    }
  }

  /**
   * Starts as many lines as there are idle slots.
   * @returns why lines that wait could not be started; null: some were, or none waits
   */
  async begin(job: BatchJob, principal: Principal, nowMs: number): Promise<PauseReason | null> {
    let anyWaits = false;
    let anyStarted = false;
    for (const modelId of job.modelIds) {
      const slots = Math.min(
        modelId === NO_MODEL ? STARTS_PER_STEP_MAX : await this.#idleSlots(modelId, nowMs),
        RUNNING_MAX - this.#running.size,
        STARTS_PER_STEP_MAX,
      );
      const lines = this.#store.waiting(modelId, nowMs, Math.max(1, slots));
      anyWaits ||= lines.length > 0;
      if (slots <= 0) continue;
      anyStarted ||= lines.length > 0;
      for (const line of lines) await this.#start(job, principal, line);
    }
    return anyWaits && !anyStarted && this.#running.size < RUNNING_MAX ? 'no_idle_capacity' : null;
  }

  /** Ends lines that wait without running them, a few thousand at a time. */
  endWaiting(reason: StopReason, batchId: string): void {
    for (const { n, customId } of this.#store.firstWaiting(ENDS_PER_STEP_MAX)) {
      const fault = { code: reason, message: STOP_MESSAGES[reason], param: null, line: n };
      this.#store.end(n, faultLine(batchId, customId, fault), { failed: 1 });
    }
  }

  async #idleSlots(modelId: string, nowMs: number): Promise<number> {
    const snapshot = await poolSnapshot(this.#env, modelId, nowMs, this.#waitUntil);
    const uncounted = [...this.#running.values()].filter(
      (sinceMs) => sinceMs > snapshot.atMs - REPORT_AGE_MS,
    );
    return idleSlots(snapshot) - uncounted.length;
  }

  async #start(job: BatchJob, principal: Principal, line: WaitingLine): Promise<void> {
    const { n, customId } = line;
    const read = parseLine(await this.#bytesOf(job, line), n, job.order.endpoint);
    if (!read.ok)
      throw new LoggableError(`line ${n} of ${job.order.batchId} was well-formed when it was read`);
    const dialect = await dialectOf(job.order.endpoint);
    const nowMs = Date.now();
    const requestId = newId('req', nowMs);
    this.#store.run(n, requestId);
    this.#running.set(n, nowMs);
    const ran = runLine(this.#env, {
      requestId,
      dialect,
      principal,
      body: read.line.body,
      nowMs,
      waitUntil: this.#waitUntil,
      keep: ({ text, settlement }) =>
        this.#store.answer(n, answerLine({ customId, requestId }, { status: 200, body: text }), settlement),
    })
      .then((outcome) => this.#judge({ ...line, requestId }, outcome, Date.now()))
      .finally(() => {
        this.#running.delete(n);
        if (this.#running.size === 0) this.#onIdle();
      });
    this.#waitUntil(ran);
  }

  #judge(line: WaitingLine & { requestId: string }, outcome: LineOutcome, nowMs: number): void {
    const { n, attempts } = line;
    switch (outcome.kind) {
      case 'answered':
        this.#store.end(n, answerLine(line, outcome), { completed: 1, ...costOf(outcome.settlement) });
        break;
      case 'refused':
        this.#store.end(n, answerLine(line, outcome), { failed: 1 });
        break;
      case 'retry': {
        const failures = attempts + (outcome.failure ? 1 : 0);
        if (outcome.failure && failures >= FAILURES_MAX)
          this.#store.end(n, answerLine(line, outcome.failure), { failed: 1 });
        else this.#store.wait(n, { attempts: failures, notBeforeMs: nowMs + outcome.inMs });
        break;
      }
      case 'pause':
        this.#store.wait(n, { attempts, notBeforeMs: nowMs });
        this.#store.change({ pausedBy: outcome.reason, pausedUntilMs: nowMs + PAUSE_MS });
    }
  }

  async #bytesOf(job: BatchJob, { part, start, end }: WaitingLine): Promise<Uint8Array> {
    if (this.#part?.part !== part) {
      this.#part = { part, bytes: await readPart(this.#env.FILES, job.order.input.fileId, part) };
    }
    return this.#part.bytes.subarray(start, end);
  }
}
