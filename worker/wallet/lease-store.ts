/** The Wallet's leases as rows: every statement, no decision. */
import type { Lease, LeaseTerms } from '../domain/lease.ts';
import { nanoUsd } from '../domain/money.ts';
import type { WalletReceipt } from '../domain/wallet.ts';
import { type Row, toReceipt } from './rows.ts';

export class LeaseStore {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
  }

  find(leaseId: string): Lease | null {
    const [row] = this.#all('SELECT * FROM lease WHERE lease_id = ?', leaseId);
    return row ? toLease(row) : null;
  }

  open(): Lease[] {
    return this.#all('SELECT * FROM lease WHERE ended_at_ms IS NULL').map(toLease);
  }

  put(lease: Lease): void {
    const { leaseId, terms, seq, admitted, told, doubtful, share, slack, untilMs, endedAtMs } = lease;
    this.#sql.exec(
      `INSERT INTO lease VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET seq = excluded.seq,
         admitted = excluded.admitted, told = excluded.told, doubtful = excluded.doubtful, requests = excluded.requests, held_nano_usd = excluded.held_nano_usd,
         tokens = excluded.tokens, slack_requests = excluded.slack_requests, slack_nano_usd = excluded.slack_nano_usd,
         slack_tokens = excluded.slack_tokens, until_ms = excluded.until_ms, ended_at_ms = excluded.ended_at_ms`,
      leaseId,
      JSON.stringify(terms),
      seq,
      admitted,
      told,
      doubtful ? 1 : 0,
      share.requests,
      share.nanoUsd,
      share.tokens,
      slack.requests,
      slack.nanoUsd,
      slack.tokens,
      untilMs,
      endedAtMs,
    );
  }

  /** Receipts of its requests that wait to hear how those ended. A scan: leases whose isolates are lost are rare. */
  receiptsOf(leaseId: string): WalletReceipt[] {
    const query = "SELECT * FROM receipt WHERE settled = 0 AND ticket IN (?1, ?1 || '.stream')";
    return this.#all(query, leaseId).map(toReceipt);
  }

  trim(beforeMs: number): void {
    this.#sql.exec('DELETE FROM lease WHERE ended_at_ms < ?', beforeMs);
  }

  #all(query: string, ...bindings: SqlStorageValue[]): Row[] {
    return this.#sql.exec<Row>(query, ...bindings).toArray();
  }
}

function toLease(row: Row): Lease {
  return {
    leaseId: row.lease_id as string,
    terms: JSON.parse(row.terms as string) as LeaseTerms,
    seq: row.seq as number,
    admitted: row.admitted as number,
    told: row.told as number,
    doubtful: row.doubtful === 1,
    share: {
      requests: row.requests as number,
      nanoUsd: nanoUsd(row.held_nano_usd as number),
      tokens: row.tokens as number,
    },
    slack: {
      requests: row.slack_requests as number,
      nanoUsd: nanoUsd(row.slack_nano_usd as number),
      tokens: row.slack_tokens as number,
    },
    untilMs: row.until_ms as number,
    endedAtMs: row.ended_at_ms as number | null,
  };
}
