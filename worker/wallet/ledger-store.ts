/** The ledger's rows and the account's sums of credit: every statement, no decision. */
import type { Credit, Entry, EntryKind } from '../domain/ledger.ts';
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

  find(kind: EntryKind, reference: string): Entry | null {
    const query = 'SELECT * FROM entry WHERE kind = ? AND reference = ?';
    const row = firstRow(this.#sql, query, kind, reference);
    return row && toEntry(row);
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
