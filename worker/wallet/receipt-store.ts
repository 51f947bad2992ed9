/** The receipts' rows: every statement, no decision. */
import type { WalletReceipt } from '../domain/wallet.ts';
import { allRows, firstRow, toReceipt } from './rows.ts';

export class ReceiptStore {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
  }

  /**
   * @param settled whether the caller works out the receipt's write-off at once
   * @returns whether the receipt is new
   */
  insert(receipt: WalletReceipt, nowMs: number, { settled }: { settled: boolean }): boolean {
    const { usage } = receipt;
    const inserted = this.#sql.exec(
      'INSERT OR IGNORE INTO receipt VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
      receipt.requestId,
      receipt.nodeId,
      nowMs,
      receipt.outcome,
      usage.promptTokens,
      usage.cachedTokens,
      usage.completionTokens,
      usage.reasoningTokens,
      receipt.ttftMs,
      settled ? 1 : 0,
      receipt.ticket,
    );
    return inserted.rowsWritten > 0;
  }

  /**
   * Keeps the first receipt of a held request in the request's own row.
   * @returns false: it has one already
   */
  insertEarly(receipt: WalletReceipt): boolean {
    const inserted = this.#sql.exec(
      "UPDATE request SET early_receipt = ? WHERE request_id = ? AND state = 'held' AND early_receipt IS NULL",
      JSON.stringify(receipt),
      receipt.requestId,
    );
    return inserted.rowsWritten > 0;
  }

  /** The receipt in the row of a held request; null: none has come. */
  early(requestId: string): WalletReceipt | null {
    const row = firstRow(this.#sql, 'SELECT early_receipt FROM request WHERE request_id = ?', requestId);
    return typeof row?.early_receipt === 'string' ? (JSON.parse(row.early_receipt) as WalletReceipt) : null;
  }

  has(requestId: string, nodeId: string | null): boolean {
    const query = 'SELECT 1 FROM receipt WHERE request_id = ? AND node_id = ?';
    return firstRow(this.#sql, query, requestId, nodeId) !== null || this.early(requestId)?.nodeId === nodeId;
  }

  /** Ids of the nodes whose receipts say that they gave the whole answer of a request. */
  finishedAt(requestId: string): string[] {
    const query =
      "SELECT node_id FROM receipt WHERE request_id = ? AND outcome = 'finished' ORDER BY node_id";
    const early = this.early(requestId);
    const rows = allRows(this.#sql, query, requestId).map((row) => row.node_id as string);
    return early?.outcome === 'finished' ? [early.nodeId, ...rows] : rows;
  }

  /** Receipts of a request whose write-off is not known yet. */
  unsettled(requestId: string): WalletReceipt[] {
    const query = 'SELECT * FROM receipt WHERE request_id = ? AND settled = 0';
    return [this.early(requestId) ?? [], allRows(this.#sql, query, requestId).map(toReceipt)].flat();
  }

  /** Receipts whose write-off is not known yet, of requests with ids in a range, both ends included. */
  unsettledBetween(firstRequestId: string, lastRequestId: string): WalletReceipt[] {
    const query = 'SELECT * FROM receipt WHERE request_id BETWEEN ? AND ? AND settled = 0';
    return allRows(this.#sql, query, firstRequestId, lastRequestId).map(toReceipt);
  }

  /**
   * Receipts of a lease's requests whose end is not known yet. This scans the table: leases with a lost isolate are
   * rare.
   */
  unsettledOfLease(leaseId: string): WalletReceipt[] {
    const query = "SELECT * FROM receipt WHERE settled = 0 AND ticket IN (?1, ?1 || '.stream')";
    return allRows(this.#sql, query, leaseId).map(toReceipt);
  }

  remove({ requestId, nodeId }: WalletReceipt): void {
    this.#sql.exec('DELETE FROM receipt WHERE request_id = ? AND node_id = ?', requestId, nodeId);
  }

  settle({ requestId, nodeId }: WalletReceipt): void {
    const query = 'UPDATE receipt SET settled = 1 WHERE request_id = ? AND node_id = ?';
    this.#sql.exec(query, requestId, nodeId);
  }

  /** The time up to which charges have been checked for missing receipts. */
  checkedToMs(): number {
    return firstRow(this.#sql, 'SELECT checked_to_ms FROM proof')!.checked_to_ms as number;
  }

  setCheckedTo(atMs: number): void {
    this.#sql.exec('UPDATE proof SET checked_to_ms = ?', atMs);
  }

  /** Forgets receipts that came before `beforeMs`, except of requests that are still held: D1 has them. */
  trim(beforeMs: number): void {
    this.#sql.exec(
      `DELETE FROM receipt WHERE received_at_ms < ? AND NOT EXISTS (
         SELECT 1 FROM request WHERE request.request_id = receipt.request_id AND state = 'held')`,
      beforeMs,
    );
  }
}
