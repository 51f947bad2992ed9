/**
 * A batch's tables: every statement, no decision.
 *
 * job   one row: the batch's specification, its state and its totals, as JSON
 * line  every line of the input: `waiting → running → answered → ended`, or ended at once
 */
import {
  addTotals,
  type BatchSpec,
  type BatchTotals,
  NO_TOTALS,
  type PauseReason,
  type StopReason,
} from '../domain/batch.ts';
import type { Settlement } from '../gateway/hold/request-hold.ts';

const SCHEMA = `
CREATE TABLE IF NOT EXISTS job (id INTEGER PRIMARY KEY CHECK (id = 1), facts TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS line (
  n INTEGER PRIMARY KEY,
  part INTEGER NOT NULL,
  start INTEGER NOT NULL,
  end INTEGER NOT NULL,
  custom_id TEXT UNIQUE,
  model_id TEXT,
  state TEXT NOT NULL,
  attempts INTEGER NOT NULL DEFAULT 0,
  not_before_ms INTEGER NOT NULL DEFAULT 0,
  request_id TEXT,
  settlement TEXT,
  failed INTEGER NOT NULL DEFAULT 0,
  result TEXT,
  written_to INTEGER
) STRICT;
CREATE INDEX IF NOT EXISTS line_waiting ON line (model_id, not_before_ms) WHERE state = 'waiting';
CREATE INDEX IF NOT EXISTS line_begun ON line (state) WHERE state IN ('running', 'answered');
CREATE INDEX IF NOT EXISTS line_unwritten ON line (failed, written_to) WHERE result IS NOT NULL;
`;

export type JobState =
  /** The input's lines are being read. */
  | 'validating'
  /** Lines are being run. */
  | 'running'
  /** Every line has ended; the results that are left are being written to R2. */
  | 'ending'
  /** The files are complete; D1 does not know yet. */
  | 'ended'
  /** D1 knows, and the lines are deleted. */
  | 'closed';

/** How much of a result file is written to R2. */
export interface WrittenParts {
  readonly parts: number;
  readonly bytes: number;
}

/** The batch as the row of `job` stores it. Its field names are stored JSON, so they stay as they are. */
export interface BatchJob {
  readonly order: BatchSpec;
  readonly state: JobState;
  /** Parts of the input whose lines are in the table `line`. */
  readonly partsRead: number;
  readonly lines: number;
  /** The models that the lines name. */
  readonly modelIds: readonly string[];
  readonly totals: BatchTotals;
  /** Why and when the batch was stopped early; null: it was not. */
  readonly cut: { readonly by: StopReason; readonly atMs: number } | null;
  readonly pausedBy: PauseReason | null;
  /** No line is started before this time. */
  readonly pausedUntilMs: number;
  /** Successful results and errors are written to a file each. */
  readonly written: { readonly output: WrittenParts; readonly error: WrittenParts };
  readonly beganAtMs: number;
  readonly runningAtMs: number | null;
  readonly endingAtMs: number | null;
  readonly endedAtMs: number | null;
}

const NOTHING_WRITTEN: WrittenParts = { parts: 0, bytes: 0 };

/** Where a line is in the input. */
export interface LineLocation {
  /** Line number in the input, from 1. */
  readonly n: number;
  readonly part: number;
  /** Byte offsets in the part; `end` is exclusive. */
  readonly start: number;
  readonly end: number;
}

export interface WaitingLine extends LineLocation {
  readonly customId: string;
  readonly attempts: number;
}

export interface BegunLine {
  readonly n: number;
  readonly customId: string;
  readonly requestId: string;
  readonly attempts: number;
  /** The stored answer and the settlement that pays for it; null: the line has no answer yet. */
  readonly kept: { readonly result: string; readonly settlement: Settlement } | null;
}

export class BatchStore {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    sql.exec(SCHEMA);
  }

  job(): BatchJob | null {
    const row = this.#sql.exec('SELECT facts FROM job').toArray()[0];
    return row ? (JSON.parse(row.facts as string) as BatchJob) : null;
  }

  begin(order: BatchSpec, nowMs: number): void {
    const job: BatchJob = {
      order,
      state: 'validating',
      partsRead: 0,
      lines: 0,
      modelIds: [],
      totals: NO_TOTALS,
      cut: null,
      pausedBy: null,
      pausedUntilMs: 0,
      written: { output: NOTHING_WRITTEN, error: NOTHING_WRITTEN },
      beganAtMs: nowMs,
      runningAtMs: null,
      endingAtMs: null,
      endedAtMs: null,
    };
    this.#sql.exec('INSERT OR IGNORE INTO job VALUES (1, ?)', JSON.stringify(job));
  }

  change(change: Partial<BatchJob>): BatchJob {
    const job = { ...this.job()!, ...change };
    this.#sql.exec('UPDATE job SET facts = ?', JSON.stringify(job));
    return job;
  }

  /** @returns false when another line has the same custom id */
  addWaiting(line: LineLocation & { customId: string; modelId: string }): boolean {
    const { n, part, start, end, customId, modelId } = line;
    const added = this.#sql.exec(
      "INSERT OR IGNORE INTO line (n, part, start, end, custom_id, model_id, state) VALUES (?, ?, ?, ?, ?, ?, 'waiting')",
      n,
      part,
      start,
      end,
      customId,
      modelId,
    );
    return added.rowsWritten > 0;
  }

  /** Adds a line that has ended at once, with the fault as its result. */
  addFaulty({ n, part, start, end }: LineLocation, result: string): void {
    this.#sql.exec(
      "INSERT INTO line (n, part, start, end, state, failed, result) VALUES (?, ?, ?, ?, 'ended', 1, ?)",
      n,
      part,
      start,
      end,
      result,
    );
    this.#count({ failed: 1 });
  }

  /** Lines of a model that may start now, in the order in which they became due. */
  waiting(modelId: string, nowMs: number, limit: number): WaitingLine[] {
    return this.#sql
      .exec(
        "SELECT n, part, start, end, custom_id, attempts FROM line WHERE state = 'waiting' AND model_id = ? AND not_before_ms <= ? ORDER BY not_before_ms, n LIMIT ?",
        modelId,
        nowMs,
        limit,
      )
      .toArray()
      .map((row) => ({
        n: row.n as number,
        part: row.part as number,
        start: row.start as number,
        end: row.end as number,
        customId: row.custom_id as string,
        attempts: row.attempts as number,
      }));
  }

  isAnyWaiting(): boolean {
    return this.#sql.exec("SELECT 1 FROM line WHERE state = 'waiting' LIMIT 1").toArray().length > 0;
  }

  /** Lines that were started and have not ended. */
  begun(): BegunLine[] {
    return this.#sql
      .exec("SELECT * FROM line WHERE state IN ('running', 'answered')")
      .toArray()
      .map((row) => ({
        n: row.n as number,
        customId: row.custom_id as string,
        requestId: row.request_id as string,
        attempts: row.attempts as number,
        kept:
          row.state === 'answered'
            ? {
                result: row.result as string,
                settlement: JSON.parse(row.settlement as string) as Settlement,
              }
            : null,
      }));
  }

  /** Marks a line as started under a request id. */
  run(n: number, requestId: string): void {
    this.#sql.exec("UPDATE line SET state = 'running', request_id = ? WHERE n = ?", requestId, n);
  }

  /** Stores a line's answer. This comes before the answer is paid for, so that no paid answer can be lost. */
  answer(n: number, result: string, settlement: Settlement): void {
    this.#sql.exec(
      "UPDATE line SET state = 'answered', result = ?, settlement = ? WHERE n = ?",
      result,
      JSON.stringify(settlement),
      n,
    );
  }

  /** Returns a line to those that wait. */
  wait(n: number, { attempts, notBeforeMs }: { attempts: number; notBeforeMs: number }): void {
    this.#sql.exec(
      "UPDATE line SET state = 'waiting', request_id = NULL, attempts = ?, not_before_ms = ? WHERE n = ?",
      attempts,
      notBeforeMs,
      n,
    );
  }

  /** Ends a line once; a line that has ended stays as it is. @param counts `failed: 1` puts the result in the error file */
  end(n: number, result: string, counts: Partial<BatchTotals>): void {
    const ended = this.#sql.exec(
      "UPDATE line SET state = 'ended', settlement = NULL, result = ?, failed = ? WHERE n = ? AND state <> 'ended'",
      result,
      counts.failed ?? 0,
      n,
    );
    if (ended.rowsWritten > 0) this.#count(counts);
  }

  #count(counts: Partial<BatchTotals>): void {
    this.change({ totals: addTotals(this.job()!.totals, counts) });
  }

  /** The first lines that wait, due or not. */
  firstWaiting(limit: number): { n: number; customId: string }[] {
    return this.#sql
      .exec("SELECT n, custom_id FROM line WHERE state = 'waiting' ORDER BY n LIMIT ?", limit)
      .toArray()
      .map((row) => ({ n: row.n as number, customId: row.custom_id as string }));
  }

  /** Size of the results that are not written to R2 yet, in characters: a lower bound of their bytes. */
  unwrittenBytes(failed: boolean): number {
    return this.#sql
      .exec(
        "SELECT coalesce(sum(length(result)), 0) AS size FROM line WHERE result IS NOT NULL AND failed = ? AND state = 'ended'",
        failed ? 1 : 0,
      )
      .one().size as number;
  }

  /**
   * The results of a part of a result file: those that were assigned to it before, else the next ones up to `bytesMax`.
   * A repeated call after a crash returns the same results, so a part is never written with two contents.
   */
  resultsFor(part: number, failed: boolean, bytesMax: number): string[] {
    const flag = failed ? 1 : 0;
    const known = this.#results(flag, part);
    if (known.length > 0) return known;
    this.#sql.exec(
      `UPDATE line SET written_to = ? WHERE n IN (
         SELECT n FROM (SELECT n, sum(length(result)) OVER (ORDER BY n) AS size FROM line
           WHERE result IS NOT NULL AND failed = ? AND state = 'ended') WHERE size <= ?
         UNION SELECT min(n) FROM line WHERE result IS NOT NULL AND failed = ? AND state = 'ended')`,
      part,
      flag,
      bytesMax,
      flag,
    );
    return this.#results(flag, part);
  }

  #results(failed: number, part: number): string[] {
    return this.#sql
      .exec(
        'SELECT result FROM line WHERE result IS NOT NULL AND failed = ? AND written_to = ? ORDER BY n',
        failed,
        part,
      )
      .toArray()
      .map((row) => row.result as string);
  }

  /** Deletes the lines: their results are in R2, and their totals are in the job. */
  close(): void {
    this.#sql.exec('DELETE FROM line');
    this.change({ state: 'closed' });
  }

  /** Drops the results of a part that R2 has. */
  forgetResults(part: number, failed: boolean): void {
    this.#sql.exec('UPDATE line SET result = NULL WHERE written_to = ? AND failed = ?', part, failed ? 1 : 0);
  }
}
