/** The outbox's rows and the numbers of its items: every statement, no decision. */
import { allRows, firstRow } from './rows.ts';

export class OutboxStore {
  readonly #sql: SqlStorage;

  #lastSeq: number;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    const row = firstRow(
      sql,
      `SELECT max(outbox_seq, coalesce((SELECT max(seq) FROM outbox), 0),
         coalesce((SELECT max(max(r.outbox_seq, coalesce(r.receipt_seq, 0))) FROM request AS r WHERE r.request_id >= open_from), 0)) AS seq FROM checkpoint`,
    );
    this.#lastSeq = row!.seq as number;
  }

  /** The last number that was given to an item; a number is never given twice. */
  get lastSeq(): number {
    return this.#lastSeq;
  }

  /** Gives the next number, to an item that the caller stores in the same transaction. */
  nextSeq(): number {
    this.#lastSeq += 1;
    return this.#lastSeq;
  }

  enqueue(item: unknown): void {
    this.#sql.exec('INSERT INTO outbox VALUES (?, ?)', this.nextSeq(), JSON.stringify(item));
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

  /** The first ledger entry among these items; null: there is none. */
  firstUnpublishedSeq(): number | null {
    const row = firstRow(
      this.#sql,
      "SELECT min(item ->> '$.entry.seq') AS seq FROM outbox WHERE item ->> '$.kind' IN ('entry', 'settled', 'page')",
    );
    return (row?.seq as number | null) ?? null;
  }

  /**
   * Removes items that were published, in the caller's transaction. Their numbers are remembered.
   * @param seqs numbers of any items; an ended request is none of this table
   */
  dequeue(seqs: readonly number[]): void {
    const removed = this.#sql.exec(
      'DELETE FROM outbox WHERE seq IN (SELECT value FROM json_each(?)) RETURNING seq',
      JSON.stringify(seqs),
    );
    const last = Math.max(0, ...removed.toArray().map(({ seq }) => seq as number));
    if (last > 0) this.#sql.exec('UPDATE checkpoint SET outbox_seq = max(outbox_seq, ?)', last);
  }
}
