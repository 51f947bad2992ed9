/** The leases' rows: every statement, no decision. */
import type { Lease, LeaseTerms } from '../domain/lease.ts';
import { nanoUsd } from '../domain/money.ts';
import { allRows, firstRow, type Row } from './rows.ts';

export class LeaseStore {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
  }

  find(leaseId: string): Lease | null {
    const row = firstRow(this.#sql, 'SELECT * FROM lease WHERE lease_id = ?', leaseId);
    return row ? toLease(row) : null;
  }

  open(): Lease[] {
    return allRows(this.#sql, 'SELECT * FROM lease WHERE ended_at_ms IS NULL').map(toLease);
  }

  /**
   * Inserts the lease or overwrites its row. Stored names differ: `told` is `reported`, `doubtful` is
   * `settledByReceipts`, the three sums are `allotment`.
   */
  put(lease: Lease): void {
    const {
      leaseId,
      terms,
      seq,
      admitted,
      reported,
      settledByReceipts,
      allotment,
      slack,
      expiresAtMs,
      endedAtMs,
    } = lease;
    this.#sql.exec(
      `INSERT INTO lease VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET seq = excluded.seq,
         admitted = excluded.admitted, told = excluded.told, doubtful = excluded.doubtful, requests = excluded.requests, held_nano_usd = excluded.held_nano_usd,
         tokens = excluded.tokens, slack_requests = excluded.slack_requests, slack_nano_usd = excluded.slack_nano_usd,
         slack_tokens = excluded.slack_tokens, until_ms = excluded.until_ms, ended_at_ms = excluded.ended_at_ms`,
      leaseId,
      JSON.stringify(terms),
      seq,
      admitted,
      reported,
      settledByReceipts ? 1 : 0,
      allotment.requests,
      allotment.nanoUsd,
      allotment.tokens,
      slack.requests,
      slack.nanoUsd,
      slack.tokens,
      expiresAtMs,
      endedAtMs,
    );
  }

  /** Forgets leases that ended before `beforeMs`. */
  trim(beforeMs: number): void {
    this.#sql.exec('DELETE FROM lease WHERE ended_at_ms < ?', beforeMs);
  }
}

function toLease(row: Row): Lease {
  return {
    leaseId: row.lease_id as string,
    terms: JSON.parse(row.terms as string) as LeaseTerms,
    seq: row.seq as number,
    admitted: row.admitted as number,
    reported: row.told as number,
    settledByReceipts: row.doubtful === 1,
    allotment: {
      requests: row.requests as number,
      nanoUsd: nanoUsd(row.held_nano_usd as number),
      tokens: row.tokens as number,
    },
    slack: {
      requests: row.slack_requests as number,
      nanoUsd: nanoUsd(row.slack_nano_usd as number),
      tokens: row.slack_tokens as number,
    },
    expiresAtMs: row.until_ms as number,
    endedAtMs: row.ended_at_ms as number | null,
  };
}
