/**
 * A batch: a Durable Object that reads its lines, runs them where the pool is idle and writes down what came of each.
 * An alarm every two seconds moves it on, so it goes on by itself after a crash or a deployment.
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
import { BatchStore, type Job } from './store.ts';
import { writeFullParts, writeRest } from './writer.ts';

/** As often as nodes report how busy they are. */
const TICK_MS = 2_000;

/** What a batch is at its end, by what cut it short. */
const ENDS: Record<StopReason, BatchState> = {
  batch_expired: 'expired',
  batch_cancelled: 'cancelled',
  key_revoked: 'cancelled',
  empty_file: 'failed',
  too_many_lines: 'failed',
};

const FAULTS: Partial<Record<StopReason, string>> = {
  key_revoked: 'The key that created the batch was revoked or has expired.',
  empty_file: 'The input file has no lines.',
  too_many_lines: `The input file has more than ${LINES_MAX} lines. Split it into several files.`,
};

export class Batch extends DurableObject<Env> implements BatchApi {
  readonly #store: BatchStore;
  readonly #runner: BatchRunner;
  /** what D1 was told last */
  #told = '';

  constructor(state: DurableObjectState, env: Env) {
    super(state, env);
    this.#store = new BatchStore(state.storage.sql);
    this.#runner = new BatchRunner(env, this.#store, {
      waitUntil: (promise) => state.waitUntil(promise),
      lastEnded: () => void this.#wakeIn(0),
    });
  }

  async begin(order: BatchSpec): Promise<void> {
    this.#store.begin(order, Date.now());
    await this.#wakeIn(0);
  }

  async cancel(): Promise<void> {
    const job = this.#store.job();
    if (job === null || isOver(job) || job.cut) return;
    this.#cut('batch_cancelled', Date.now());
    await this.#tell();
    await this.#wakeIn(0);
  }

  override async alarm(): Promise<void> {
    const job = this.#store.job();
    if (job === null || job.state === 'closed') return;
    const nowMs = Date.now();
    let inMs = TICK_MS;
    try {
      await this.#step(job, nowMs);
      await this.#tell();
      if (job.state === 'ended') this.#store.close();
      // what leads to another step at once need not wait
      if (this.#store.job()!.state !== 'running' || this.#runner.isDone()) inMs = 0;
    } catch (error) {
      const { batchId } = job.order;
      console.error(JSON.stringify({ event: 'batch_failed', batchId, error: describeError(error) }));
    } finally {
      if (this.#store.job()!.state !== 'closed') await this.#wakeIn(inMs);
    }
  }

  async #step(job: Job, nowMs: number): Promise<void> {
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

  async #read(job: Job, nowMs: number): Promise<void> {
    if (job.cut === null && job.partsRead < job.order.input.parts) {
      const inOneStep = (closure: () => void) => this.ctx.storage.transactionSync(closure);
      await readNextPart(this.env, { store: this.#store, job, nowMs, inOneStep });
      if (this.#store.job()!.lines > LINES_MAX) this.#cut('too_many_lines', nowMs);
      return;
    }
    if (job.cut === null && job.lines === 0) this.#cut('empty_file', nowMs);
    this.#store.change({ state: 'running', runningAtMs: nowMs });
  }

  async #run(job: Job, nowMs: number): Promise<void> {
    const { order } = job;
    await this.#runner.recover(job, nowMs);
    if (nowMs >= order.expiresAtMs) this.#cut('batch_expired', nowMs);
    const who = await principalOfKey(this.env, order.keyId, nowMs);
    if (who === null) this.#cut('key_revoked', nowMs);
    const { cut, pausedUntilMs } = this.#store.job()!;
    if (cut) this.#runner.cut(cut.by, order.batchId);
    else if (nowMs >= pausedUntilMs) {
      const pausedBy = who === 'account_suspended' ? who : await this.#runner.begin(job, who!, nowMs);
      // a line that was refused meanwhile knows better
      if (this.#store.job()!.pausedUntilMs <= nowMs) this.#store.change({ pausedBy });
    }
    await writeFullParts(this.env, this.#store);
    if (this.#runner.isDone()) this.#store.change({ state: 'ending', endingAtMs: nowMs, pausedBy: null });
  }

  /** The first reason counts. */
  #cut(by: StopReason, atMs: number): void {
    if (this.#store.job()!.cut === null) this.#store.change({ cut: { by, atMs }, pausedBy: null });
  }

  /** D1 is told of what changed since it was last told. */
  async #tell(): Promise<void> {
    const job = this.#store.job()!;
    const progress = progressOf(job);
    const text = JSON.stringify(progress);
    if (text === this.#told) return;
    await saveProgress(database(this.env), { id: job.order.batchId, ...progress });
    this.#told = text;
  }

  async #wakeIn(ms: number): Promise<void> {
    await this.ctx.storage.setAlarm(Date.now() + ms);
  }
}

/** The columns of its row that a batch's progress is told in. */
function progressOf(job: Job) {
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

function isOver({ state }: Job): boolean {
  return state === 'ended' || state === 'closed';
}

function stateOf(job: Job): BatchState {
  const { state, cut } = job;
  if (isOver(job)) return cut ? ENDS[cut.by] : 'completed';
  if (state === 'ending') return 'finalizing';
  if (cut?.by === 'batch_cancelled') return 'cancelling';
  return state === 'validating' ? 'validating' : 'in_progress';
}
