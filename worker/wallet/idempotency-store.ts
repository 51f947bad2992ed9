/**
 * Idempotency keys in a Wallet's SQLite, and the sealed answers that retries get: every statement, no decision.
 *
 * replay       one row an idempotency key: the request that it began, and whether the answer was kept
 * replay_part  the sealed answer in order; the first part is its nonce
 */
import type { IdempotencyRecord } from '../domain/idempotency.ts';

const SCHEMA = `
CREATE TABLE IF NOT EXISTS replay (
  lookup TEXT PRIMARY KEY,
  fingerprint TEXT NOT NULL,
  request_id TEXT NOT NULL,
  begun_at_ms INTEGER NOT NULL,
  runs INTEGER NOT NULL,
  answer TEXT NOT NULL DEFAULT 'open',
  paid_nano_usd INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS replay_by_time ON replay (begun_at_ms);
CREATE UNIQUE INDEX IF NOT EXISTS replay_by_request ON replay (request_id);
CREATE TABLE IF NOT EXISTS replay_part (
  lookup TEXT NOT NULL,
  part INTEGER NOT NULL,
  bytes BLOB NOT NULL,
  PRIMARY KEY (lookup, part)
) STRICT, WITHOUT ROWID;
`;

export class IdempotencyStore {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    sql.exec(SCHEMA);
  }

  find(lookup: string): Omit<IdempotencyRecord, 'request'> | null {
    const [row] = this.#sql.exec('SELECT * FROM replay WHERE lookup = ?', lookup).toArray();
    if (!row) return null;
    return {
      fingerprint: row.fingerprint as string,
      requestId: row.request_id as string,
      begunAtMs: row.begun_at_ms as number,
      runs: row.runs as number,
      answer: row.answer as IdempotencyRecord['answer'],
    };
  }

  /** Records that `requestId` runs under the key from now on, for the first time or again. */
  begin(lookup: string, run: { fingerprint: string; requestId: string; nowMs: number }): void {
    this.#sql.exec(
      `INSERT INTO replay (lookup, fingerprint, request_id, begun_at_ms, runs) VALUES (?, ?, ?, ?, 1)
       ON CONFLICT DO UPDATE SET request_id = excluded.request_id, begun_at_ms = excluded.begun_at_ms,
         runs = runs + 1, answer = 'open'`,
      lookup,
      run.fingerprint,
      run.requestId,
      run.nowMs,
    );
  }

  /** Gives a key whose answer was lost the hashes of the pepper that is now in use. */
  rename(lookup: string, to: { lookup: string; fingerprint: string }): void {
    this.#sql.exec(
      'UPDATE replay SET lookup = ?, fingerprint = ? WHERE lookup = ?',
      to.lookup,
      to.fingerprint,
      lookup,
    );
  }

  /** Keeps the sealed answer of the key's current run. */
  keep(lookup: string, parts: readonly Uint8Array[]): void {
    parts.forEach((bytes, part) => {
      this.#sql.exec('INSERT OR REPLACE INTO replay_part VALUES (?, ?, ?)', lookup, part, bytes);
    });
    this.#sql.exec("UPDATE replay SET answer = 'kept' WHERE lookup = ?", lookup);
  }

  /** Records that the run gave no answer that can be kept. A run that cost nothing does not count against the key. */
  lose(lookup: string, { counts }: { counts: boolean }): void {
    this.#sql.exec(
      "UPDATE replay SET answer = 'lost', runs = runs - ? WHERE lookup = ?",
      counts ? 0 : 1,
      lookup,
    );
  }

  /** The key under which a request runs, and what its runs have cost in total: the charge of the most expensive one. */
  paidBy(requestId: string): { lookup: string; paidNanoUsd: number } | null {
    const [row] = this.#sql
      .exec('SELECT lookup, paid_nano_usd FROM replay WHERE request_id = ?', requestId)
      .toArray();
    return row ? { lookup: row.lookup as string, paidNanoUsd: row.paid_nano_usd as number } : null;
  }

  setPaid(lookup: string, paidNanoUsd: number): void {
    this.#sql.exec('UPDATE replay SET paid_nano_usd = ? WHERE lookup = ?', paidNanoUsd, lookup);
  }

  /** When the oldest key was begun; null: there is no key. */
  oldestMs(): number | null {
    const [row] = this.#sql.exec('SELECT min(begun_at_ms) AS at FROM replay').toArray();
    return (row?.at as number | null) ?? null;
  }

  parts(lookup: string): Uint8Array[] {
    return this.#sql
      .exec<{ bytes: ArrayBuffer }>('SELECT bytes FROM replay_part WHERE lookup = ? ORDER BY part', lookup)
      .toArray()
      .map(({ bytes }) => new Uint8Array(bytes));
  }

  forget(lookup: string): void {
    this.#sql.exec('DELETE FROM replay WHERE lookup = ?', lookup);
    this.#sql.exec('DELETE FROM replay_part WHERE lookup = ?', lookup);
  }

  trim(beforeMs: number): void {
    const old = this.#sql
      .exec<{ lookup: string }>('SELECT lookup FROM replay WHERE begun_at_ms < ?', beforeMs)
      .toArray();
    for (const { lookup } of old) this.forget(lookup);
  }
}
