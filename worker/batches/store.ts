/**
 * A batch's own tables and nothing else: every statement, no decision.
 *
 * job   one row: the order, its state, the sums
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
import type { Settlement } from '../gateway/settlement.ts';

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

/**
 * validating: its lines are read · running: they are answered · ending: what is left is written down · ended: D1 is yet
 * to be told · closed: it was, and the lines are forgotten
 */
export type JobState = 'validating' | 'running' | 'ending' | 'ended' | 'closed';

/** Parts of a file that are written already. */
export interface Written {
  readonly parts: number;
  readonly bytes: number;
}

export interface Job {
  readonly order: BatchSpec;
  readonly state: JobState;
  /** parts of the input whose lines are known */
  readonly partsRead: number;
  readonly lines: number;
  /** of the lines that can be run */
  readonly modelIds: readonly string[];
  readonly totals: BatchTotals;
  readonly cut: { readonly by: StopReason; readonly atMs: number } | null;
  readonly pausedBy: PauseReason | null;
  /** nothing is begun before it */
  readonly pausedUntilMs: number;
  /** by outcome: answers and faults are files of their own */
  readonly written: { readonly output: Written; readonly error: Written };
  readonly beganAtMs: number;
  readonly runningAtMs: number | null;
  readonly endingAtMs: number | null;
  readonly endedAtMs: number | null;
}

const NOTHING_WRITTEN: Written = { parts: 0, bytes: 0 };

export interface LinePlace {
  readonly n: number;
  readonly part: number;
  /** bytes of the part; the end exclusive */
  readonly start: number;
  readonly end: number;
}

export interface WaitingLine extends LinePlace {
  readonly customId: string;
  readonly attempts: number;
}

export interface BegunLine {
  readonly n: number;
  readonly customId: string;
  readonly requestId: string;
  readonly attempts: number;
  /** null: no answer was kept */
  readonly kept: { readonly result: string; readonly settlement: Settlement } | null;
}

export class BatchStore {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    sql.exec(SCHEMA);
  }

  job(): Job | null {
    const row = this.#sql.exec('SELECT facts FROM job').toArray()[0];
    return row ? (JSON.parse(row.facts as string) as Job) : null;
  }

  begin(order: BatchSpec, nowMs: number): void {
    const job: Job = {
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

  change(change: Partial<Job>): Job {
    const job = { ...this.job()!, ...change };
    this.#sql.exec('UPDATE job SET facts = ?', JSON.stringify(job));
    return job;
  }

  /** @returns false when another line has the same custom id */
  addWaiting(line: LinePlace & { customId: string; modelId: string }): boolean {
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

  /** A line that was ended by what is wrong with it. */
  addFaulty({ n, part, start, end }: LinePlace, result: string): void {
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

  /** In the order in which they may begin. */
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

  /** Running or answered, and not ended. */
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

  run(n: number, requestId: string): void {
    this.#sql.exec("UPDATE line SET state = 'running', request_id = ? WHERE n = ?", requestId, n);
  }

  /** Before it is paid for. */
  answer(n: number, result: string, settlement: Settlement): void {
    this.#sql.exec(
      "UPDATE line SET state = 'answered', result = ?, settlement = ? WHERE n = ?",
      result,
      JSON.stringify(settlement),
      n,
    );
  }

  wait(n: number, { attempts, notBeforeMs }: { attempts: number; notBeforeMs: number }): void {
    this.#sql.exec(
      "UPDATE line SET state = 'waiting', request_id = NULL, attempts = ?, not_before_ms = ? WHERE n = ?",
      attempts,
      notBeforeMs,
      n,
    );
  }

  /** Once: what has ended stays as it is. @param counts `failed: 1` sends the result to the file of errors */
  end(n: number, result: string, counts: Partial<BatchTotals>): void {
    const ended = this.#sql.exec(
      "UPDATE line SET state = 'ended', settlement = NULL, result = ?, failed = ? WHERE n = ? AND state <> 'ended'",
      result,
      counts.failed ?? 0,
      n,
    );
    if (ended.rowsWritten > 0) this.#count(counts);
  }

  #count(more: Partial<BatchTotals>): void {
    this.change({ totals: addTotals(this.job()!.totals, more) });
  }

  /** Any of those that wait. */
  someWaiting(limit: number): { n: number; customId: string }[] {
    return this.#sql
      .exec("SELECT n, custom_id FROM line WHERE state = 'waiting' ORDER BY n LIMIT ?", limit)
      .toArray()
      .map((row) => ({ n: row.n as number, customId: row.custom_id as string }));
  }

  unwrittenBytes(failed: boolean): number {
    return this.#sql
      .exec(
        "SELECT coalesce(sum(length(result)), 0) AS size FROM line WHERE result IS NOT NULL AND failed = ? AND state = 'ended'",
        failed ? 1 : 0,
      )
      .one().size as number;
  }

  /**
   * The results that go into a part: those that were meant for it before, else the next up to `bytesMax`. Asked again
   * after a crash it names the same, so that a part is never written in two ways.
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

  /** What they came to is in R2, and their sums are in the job. */
  close(): void {
    this.#sql.exec('DELETE FROM line');
    this.change({ state: 'closed' });
  }

  /** They are in R2 now. */
  forgetResults(part: number, failed: boolean): void {
    this.#sql.exec('UPDATE line SET result = NULL WHERE written_to = ? AND failed = ?', part, failed ? 1 : 0);
  }
}
