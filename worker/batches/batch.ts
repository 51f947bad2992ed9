/**
 * A batch's Durable Object: it reads the input's lines, runs them where the pool is idle, and writes the result of each.
 * An alarm every two seconds runs the next step, so a batch continues by itself after a crash or a deployment.
 */
import { DurableObject } from 'cloudflare:workers';
import { type BatchState, saveProgress } from '../db/batches.ts';
import { database } from '../db/client.ts';
import type { BatchApi, BatchSpec, StopReason } from '../domain/batch.ts';
import { LINES_MAX } from '../domain/batch-line.ts';
import type { Env } from '../env.ts';
import { principalOfKey } from '../http/authenticate.ts';
import { describeError } from '../lib/describe-error.ts';
import { readNextPart } from './reader.ts';
import { BatchRunner } from './runner.ts';
import { type BatchJob, BatchStore } from './store.ts';
import { writeFullParts, writeRest } from './writer.ts';

/** Time between steps: nodes report their load this often. */
const STEP_EVERY_MS = 2_000;

/** The final state of a batch that was stopped early, by the reason. */
const FINAL_STATES: Record<StopReason, BatchState> = {
  batch_expired: 'expired',
  batch_cancelled: 'cancelled',
  key_revoked: 'cancelled',
  empty_file: 'failed',
  too_many_lines: 'failed',
};

/** The errors of a batch as a whole, as the customer reads them. Other reasons are no error. */
const FAULTS: Partial<Record<StopReason, string>> = {
  key_revoked: 'The key that created the batch was revoked or has expired.',
  empty_file: 'The input file has no lines.',
  too_many_lines: `The input file has more than ${LINES_MAX} lines. Split it into several files.`,
};

export class Batch extends DurableObject<Env> implements BatchApi {
  readonly #store: BatchStore;
  readonly #runner: BatchRunner;
  /** The progress that D1 has, as JSON text. */
  #savedProgress = '';

  constructor(state: DurableObjectState, env: Env) {
    super(state, env);
    this.#store = new BatchStore(state.storage.sql);
    this.#runner = new BatchRunner(env, this.#store, {
      waitUntil: (promise) => state.waitUntil(promise),
      onIdle: () => void this.#wakeIn(0),
    });
  }

  async begin(order: BatchSpec): Promise<void> {
    this.#store.begin(order, Date.now());
    await this.#wakeIn(0);
  }

  async cancel(): Promise<void> {
    const job = this.#store.job();
    if (job === null || isOver(job) || job.cut) return;
    this.#stop('batch_cancelled', Date.now());
    await this.#saveProgress();
    await this.#wakeIn(0);
  }

  override async alarm(): Promise<void> {
    const job = this.#store.job();
    if (job === null || job.state === 'closed') return;
    const nowMs = Date.now();
    let nextStepInMs = STEP_EVERY_MS;
    try {
      await this.#step(job, nowMs);
      await this.#saveProgress();
      if (job.state === 'ended') this.#store.close();
      // A step that makes the next one possible is followed by it at once.
      if (this.#store.job()!.state !== 'running' || this.#runner.isDone()) nextStepInMs = 0;
    } catch (error) {
      const { batchId } = job.order;
      console.error(JSON.stringify({ event: 'batch_failed', batchId, error: describeError(error) }));
    } finally {
      if (this.#store.job()!.state !== 'closed') await this.#wakeIn(nextStepInMs);
    }
  }

  async #step(job: BatchJob, nowMs: number): Promise<void> {
    switch (job.state) {
      case 'validating':
        return this.#read(job, nowMs);
      case 'running':
        return this.#run(job, nowMs);
      case 'ending': {
        await writeRest(this.env, this.#store, nowMs);
        this.#store.change({ state: 'ended', endedAtMs: nowMs });
        break;
      }
      case 'ended':
      case 'closed':
        break;
    }
  }

  async #read(job: BatchJob, nowMs: number): Promise<void> {
    if (job.cut === null && job.partsRead < job.order.input.parts) {
      const transaction = (work: () => void) => this.ctx.storage.transactionSync(work);
      await readNextPart(this.env, { store: this.#store, job, nowMs, transaction });
      if (this.#store.job()!.lines > LINES_MAX) this.#stop('too_many_lines', nowMs);
      return;
    }
    if (job.cut === null && job.lines === 0) this.#stop('empty_file', nowMs);
    this.#store.change({ state: 'running', runningAtMs: nowMs });
  }

  async #run(job: BatchJob, nowMs: number): Promise<void> {
    const { order } = job;
    await this.#runner.recover(job, nowMs);
    if (nowMs >= order.expiresAtMs) this.#stop('batch_expired', nowMs);
    const principal = await principalOfKey(this.env, order.keyId, nowMs);
    if (principal === null) this.#stop('key_revoked', nowMs);
    const { cut, pausedUntilMs } = this.#store.job()!;
    if (cut) this.#runner.endWaiting(cut.by, order.batchId);
    else if (nowMs >= pausedUntilMs) {
      const pausedBy =
        principal === 'account_suspended' ? principal : await this.#runner.begin(job, principal!, nowMs);
      // A line that was refused meanwhile has set a newer reason.
      if (this.#store.job()!.pausedUntilMs <= nowMs) this.#store.change({ pausedBy });
    }
    await writeFullParts(this.env, this.#store);
    if (this.#runner.isDone()) this.#store.change({ state: 'ending', endingAtMs: nowMs, pausedBy: null });
  }

  /** Stops the batch from starting further lines. Only the first reason is kept. */
  #stop(reason: StopReason, atMs: number): void {
    if (this.#store.job()!.cut === null) this.#store.change({ cut: { by: reason, atMs }, pausedBy: null });
  }

  /** Saves the batch's progress to D1 if it has changed since it was last saved. */
  async #saveProgress(): Promise<void> {
    const job = this.#store.job()!;
    const progress = progressOf(job);
    const text = JSON.stringify(progress);
    if (text === this.#savedProgress) return;
    await saveProgress(database(this.env), { id: job.order.batchId, ...progress });
    this.#savedProgress = text;
  }

  async #wakeIn(ms: number): Promise<void> {
    await this.ctx.storage.setAlarm(Date.now() + ms);
  }
}

/** The batch's progress as the columns of its row in D1. */
function progressOf(job: BatchJob) {
  const { totals, cut, written, order } = job;
  const fault = cut && FAULTS[cut.by];
  return {
    state: stateOf(job),
    pausedBy: job.pausedBy,
    total: Math.min(job.lines, LINES_MAX),
    completed: totals.completed,
    failed: totals.failed,
    chargeNanoUsd: totals.chargeNanoUsd,
    usage: totals.usage,
    errors: cut && fault ? [{ code: cut.by, message: fault, line: null, param: null }] : null,
    inProgressAtMs: job.runningAtMs,
    cancellingAtMs: cut?.by === 'batch_cancelled' ? cut.atMs : null,
    finalizingAtMs: job.endingAtMs,
    endedAtMs: job.endedAtMs,
    outputFileId: isOver(job) && written.output.parts > 0 ? order.outputFileId : null,
    errorFileId: isOver(job) && written.error.parts > 0 ? order.errorFileId : null,
  };
}

function isOver({ state }: BatchJob): boolean {
  return state === 'ended' || state === 'closed';
}

function stateOf(job: BatchJob): BatchState {
  const { state, cut } = job;
  if (isOver(job)) return cut ? FINAL_STATES[cut.by] : 'completed';
  if (state === 'ending') return 'finalizing';
  if (cut?.by === 'batch_cancelled') return 'cancelling';
  return state === 'validating' ? 'validating' : 'in_progress';
}
