/**
 * Runs the lines of a batch where the pool is idle. An answer is kept before it is paid for, so after a crash what was
 * paid is there, and what is not there was not paid.
 */

import type { PauseReason, StopReason } from '../domain/batch.ts';
import { parseLine } from '../domain/batch-line.ts';
import { newId } from '../domain/ids.ts';
import { idleSlots } from '../domain/routing/idle-slots.ts';
import type { Env } from '../env.ts';
import { WalletHold } from '../gateway/hold/wallet-hold.ts';
import { poolSnapshot } from '../gateway/model-cache.ts';
import type { Principal } from '../http/authenticate.ts';
import { dialectOf } from './endpoints.ts';
import { readPart } from './file-parts.ts';
import { NO_MODEL } from './reader.ts';
import { answerLine, faultLine } from './result-line.ts';
import { costOf, type LineOutcome, runLine } from './run-line.ts';
import type { BatchStore, Job, WaitingLine } from './store.ts';

/** Answers that are being put together, in an object's 128 MB. */
const RUNNING_MAX = 64;
/** Several batches look at the same idle places: none takes all of them at once. */
const BEGIN_AT_ONCE_MAX = 16;
/** Nodes report every two seconds: what was begun since is in nobody's count yet. */
const REPORT_AGE_MS = 2_000;
/** Credit and caps change when a person does something. */
const PAUSE_MS = 30_000;
/** After as many failures, each at up to three nodes, it is the line that breaks them. */
const FAILURES_MAX = 3;
/** Lines that are ended without being run, at once. */
const CUT_AT_ONCE_MAX = 5_000;

const CUTS: Record<StopReason, string> = {
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
  /** nothing runs any more: what comes next need not wait for the next look */
  readonly #lastEnded: () => void;
  /** lines that this instance runs, and since when; what else is begun in the store belongs to one that died */
  readonly #running = new Map<number, number>();
  #part: { readonly part: number; readonly bytes: Uint8Array } | null = null;

  constructor(env: Env, store: BatchStore, on: { waitUntil: WaitUntil; lastEnded: () => void }) {
    this.#env = env;
    this.#store = store;
    this.#waitUntil = on.waitUntil;
    this.#lastEnded = on.lastEnded;
  }

  /** Nothing runs and nothing waits. */
  isDone(): boolean {
    return this.#running.size === 0 && !this.#store.isAnyWaiting() && this.#store.begun().length === 0;
  }

  /** What an instance that died had begun: paid for if its answer was kept, else given up and begun anew. */
  async recover(job: Job, nowMs: number): Promise<void> {
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

  /** Begins as many lines as there are idle places. @returns what keeps others from beginning */
  async begin(job: Job, principal: Principal, nowMs: number): Promise<PauseReason | null> {
    let waits = false;
    let begins = false;
    for (const modelId of job.modelIds) {
      const room = Math.min(
        modelId === NO_MODEL ? BEGIN_AT_ONCE_MAX : await this.#idlePlaces(modelId, nowMs),
        RUNNING_MAX - this.#running.size,
        BEGIN_AT_ONCE_MAX,
      );
      const lines = this.#store.waiting(modelId, nowMs, Math.max(1, room));
      waits ||= lines.length > 0;
      if (room <= 0) continue;
      begins ||= lines.length > 0;
      for (const line of lines) await this.#beginOne(job, principal, line);
    }
    return waits && !begins && this.#running.size < RUNNING_MAX ? 'no_idle_capacity' : null;
  }

  /** Ends lines that wait, a few thousand at a time. */
  cut(by: StopReason, batchId: string): void {
    for (const { n, customId } of this.#store.someWaiting(CUT_AT_ONCE_MAX)) {
      const fault = { code: by, message: CUTS[by], param: null, line: n };
      this.#store.end(n, faultLine(batchId, customId, fault), { failed: 1 });
    }
  }

  async #idlePlaces(modelId: string, nowMs: number): Promise<number> {
    const snapshot = await poolSnapshot(this.#env, modelId, nowMs, this.#waitUntil);
    const uncounted = [...this.#running.values()].filter(
      (sinceMs) => sinceMs > snapshot.atMs - REPORT_AGE_MS,
    );
    return idleSlots(snapshot) - uncounted.length;
  }

  async #beginOne(job: Job, principal: Principal, line: WaitingLine): Promise<void> {
    const { n, customId } = line;
    const read = parseLine(await this.#bytesOf(job, line), n, job.order.endpoint);
    if (!read.ok) throw new Error(`line ${n} of ${job.order.batchId} was well-formed when it was read`);
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
        if (this.#running.size === 0) this.#lastEnded();
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
      case 'again': {
        const failures = attempts + (outcome.refused ? 1 : 0);
        if (outcome.refused && failures >= FAILURES_MAX)
          this.#store.end(n, answerLine(line, outcome.refused), { failed: 1 });
        else this.#store.wait(n, { attempts: failures, notBeforeMs: nowMs + outcome.inMs });
        break;
      }
      case 'pause':
        this.#store.wait(n, { attempts, notBeforeMs: nowMs });
        this.#store.change({ pausedBy: outcome.by, pausedUntilMs: nowMs + PAUSE_MS });
    }
  }

  async #bytesOf(job: Job, { part, start, end }: WaitingLine): Promise<Uint8Array> {
    if (this.#part?.part !== part) {
      this.#part = { part, bytes: await readPart(this.#env.FILES, job.order.input.fileId, part) };
    }
    return this.#part.bytes.subarray(start, end);
  }
}
