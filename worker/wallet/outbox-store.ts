/** The outbox's rows: every statement, no decision. */
import { allRows, firstRow } from './rows.ts';

export class OutboxStore {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
  }

  enqueue(item: unknown): void {
    this.#sql.exec('INSERT INTO outbox (item) VALUES (?)', JSON.stringify(item));
  }

  /** The oldest items, each as JSON text. */
  items(limit: number): { seq: number; item: string }[] {
    return allRows(this.#sql, 'SELECT seq, item FROM outbox ORDER BY seq LIMIT ?', limit).map((row) => ({
      seq: row.seq as number,
      item: row.item as string,
    }));
  }

  isEmpty(): boolean {
    return this.items(1).length === 0;
  }

  /** The first ledger entry that D1 may not have yet; null: D1 has all of them. */
  firstUnpublishedSeq(): number | null {
    const row = firstRow(
      this.#sql,
      "SELECT min(item ->> '$.entry.seq') AS seq FROM outbox WHERE item ->> '$.kind' IN ('entry', 'settled', 'page')",
    );
    return (row?.seq as number | null) ?? null;
  }

  /** Removes items that were published. */
  dequeue(seqs: readonly number[]): void {
    if (seqs.length === 0) return;
    this.#sql.exec('DELETE FROM outbox WHERE seq IN (SELECT value FROM json_each(?))', JSON.stringify(seqs));
  }
}
