/** The ledger's rows and the account's sums of credit: every statement, no decision. */
import {
  type Credit,
  EMPTY_LEDGER,
  type Entry,
  type EntryKind,
  type LedgerState,
  openingState,
} from '../domain/ledger.ts';
import { type NanoUsd, nanoUsd } from '../domain/money.ts';
import { allRows, firstRow, toEntry } from './rows.ts';

/** The account's credit now, and the last entry of its hash chain. */
export interface LedgerHead extends Credit {
  readonly heldNanoUsd: NanoUsd;
  readonly owedNanoUsd: NanoUsd;
  /** Sequence number and hash of the last entry. */
  readonly seq: number;
  readonly hash: string;
}

export class LedgerStore {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
  }

  head(): LedgerHead {
    const row = firstRow(this.#sql, 'SELECT * FROM credit')!;
    return {
      grantedNanoUsd: nanoUsd(row.granted_nano_usd as number),
      paidNanoUsd: nanoUsd(row.paid_nano_usd as number),
      heldNanoUsd: nanoUsd(row.held_nano_usd as number),
      owedNanoUsd: nanoUsd(row.owed_nano_usd as number),
      seq: row.head_seq as number,
      hash: row.head_hash as string,
    };
  }

  changeHeld(byNanoUsd: number): void {
    this.#sql.exec('UPDATE credit SET held_nano_usd = held_nano_usd + ?', byNanoUsd);
  }

  changeOwed(byNanoUsd: number): void {
    this.#sql.exec('UPDATE credit SET owed_nano_usd = owed_nano_usd + ?', byNanoUsd);
  }

  /** Appends the entry, and moves the balance, the head of the chain and the held sum along with it. */
  append(entry: Entry, heldByNanoUsd: number): void {
    this.#sql.exec(
      'INSERT INTO entry (seq, at_ms, kind, reference, granted_nano_usd, paid_nano_usd, balance_nano_usd, hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?)',
      entry.seq,
      entry.atMs,
      entry.kind,
      entry.reference,
      entry.grantedNanoUsd,
      entry.paidNanoUsd,
      entry.balanceNanoUsd,
      entry.hash,
    );
    this.#sql.exec(
      'UPDATE credit SET granted_nano_usd = granted_nano_usd + ?, paid_nano_usd = paid_nano_usd + ?, held_nano_usd = held_nano_usd + ?, head_seq = ?, head_hash = ?',
      entry.grantedNanoUsd,
      entry.paidNanoUsd,
      heldByNanoUsd,
      entry.seq,
      entry.hash,
    );
  }

  /** Finds an entry by what it is for, even if it was folded. Of charges only those that were not folded are found. */
  find(kind: EntryKind, reference: string): Entry | null {
    for (const table of ['entry', 'folded']) {
      const query = `SELECT * FROM ${table} WHERE kind = ? AND reference = ?`;
      const row = firstRow(this.#sql, query, kind, reference);
      if (row) return toEntry(row);
    }
    return null;
  }

  /** The state from which the stored entries go on: what the newest opening says; the empty ledger while there is none. */
  opening(): LedgerState {
    const row = firstRow(
      this.#sql,
      "SELECT reference FROM entry WHERE kind = 'opening' AND seq = (SELECT opening_seq FROM credit)",
    );
    return row === null ? EMPTY_LEDGER : openingState(row.reference as string);
  }

  /** When the entry was posted; null: there is none with this number. */
  postedAtMs(seq: number): number | null {
    const row = firstRow(this.#sql, 'SELECT at_ms FROM entry WHERE seq = ?', seq);
    return row && (row.at_ms as number);
  }

  /**
   * Removes the entries that the opening with number `openingSeq` stands for, up to `toSeq`. What a customer was credited
   * stays findable by its reference, because a payment's event may come again at any time. A request is settled once, so
   * entries of requests are not looked for again.
   */
  fold(openingSeq: number, toSeq: number): void {
    this.#sql.exec('UPDATE credit SET opening_seq = ?', openingSeq);
    this.#sql.exec(
      `INSERT INTO folded (kind, reference, seq, at_ms, granted_nano_usd, paid_nano_usd, balance_nano_usd, hash)
       SELECT kind, reference, seq, at_ms, granted_nano_usd, paid_nano_usd, balance_nano_usd, hash FROM entry
       WHERE seq <= ? AND kind IN ('grant', 'top_up', 'correction') AND substr(reference, 1, 4) <> 'req_'`,
      toSeq,
    );
    this.#sql.exec('DELETE FROM entry WHERE seq <= ?', toSeq);
  }

  /** Entries before `beforeSeq`, newest first. */
  entriesBefore(beforeSeq: number, limit: number): Entry[] {
    const query = 'SELECT * FROM entry WHERE seq < ? ORDER BY seq DESC LIMIT ?';
    return allRows(this.#sql, query, beforeSeq, limit).map(toEntry);
  }

  /** Entries after `afterSeq`, oldest first. */
  entriesAfter(afterSeq: number, limit: number): Entry[] {
    const query = 'SELECT * FROM entry WHERE seq > ? ORDER BY seq LIMIT ?';
    return allRows(this.#sql, query, afterSeq, limit).map(toEntry);
  }
}
