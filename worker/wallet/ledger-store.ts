/** The ledger's rows, and the account's sums of credit, which are kept in memory: every statement, no decision. */
import {
  type Credit,
  EMPTY_LEDGER,
  type Entry,
  type EntryKind,
  type LedgerState,
  openingState,
} from '../domain/ledger.ts';
import { type NanoUsd, nanoUsd } from '../domain/money.ts';
import { allRows, firstRow, type Row, toEntry } from './rows.ts';

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

  #head!: LedgerHead;
  /** The number of the last entry that the checkpoint has. */
  #checkpointSeq = 0;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    this.load();
  }

  /** Sums what is stored, at first and after a failed transaction: the checkpoint, the entries after it, and the holds. */
  load(): void {
    const row = firstRow(this.#sql, 'SELECT * FROM checkpoint')!;
    this.#checkpointSeq = row.seq as number;
    const held = firstRow(
      this.#sql,
      `SELECT (SELECT coalesce(sum(held_nano_usd), 0) FROM request WHERE request_id >= ? AND state = 'held')
         + (SELECT coalesce(sum(held_nano_usd), 0) FROM lease WHERE ended_at_ms IS NULL) AS nano_usd`,
      row.open_from!,
    )!;
    this.#head = {
      grantedNanoUsd: nanoUsd(row.granted_nano_usd as number),
      paidNanoUsd: nanoUsd(row.paid_nano_usd as number),
      heldNanoUsd: nanoUsd(0),
      owedNanoUsd: nanoUsd(row.owed_nano_usd as number),
      seq: this.#checkpointSeq,
      hash: row.hash as string,
    };
    const after = 'SELECT * FROM entry WHERE seq > ? ORDER BY seq';
    for (const entry of allRows(this.#sql, after, this.#checkpointSeq).map(toEntry)) this.#move(entry, 0);
    this.changeHeld(held.nano_usd as number);
  }

  head(): LedgerHead {
    return this.#head;
  }

  /** @throws RangeError when more would be held than there is */
  changeHeld(byNanoUsd: number): void {
    this.#set({ ...this.#head, heldNanoUsd: nanoUsd(this.#head.heldNanoUsd + byNanoUsd) });
  }

  changeOwed(byNanoUsd: number): void {
    const owedNanoUsd = nanoUsd(this.#head.owedNanoUsd + byNanoUsd);
    this.#sql.exec('UPDATE checkpoint SET owed_nano_usd = ?', owedNanoUsd);
    this.#head = { ...this.#head, owedNanoUsd };
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
    this.#move(entry, heldByNanoUsd);
  }

  #move(entry: Entry, heldByNanoUsd: number): void {
    const { grantedNanoUsd, paidNanoUsd, heldNanoUsd, owedNanoUsd } = this.#head;
    this.#set({
      grantedNanoUsd: nanoUsd(grantedNanoUsd + entry.grantedNanoUsd),
      paidNanoUsd: nanoUsd(paidNanoUsd + entry.paidNanoUsd),
      heldNanoUsd: nanoUsd(heldNanoUsd + heldByNanoUsd),
      owedNanoUsd,
      seq: entry.seq,
      hash: entry.hash,
    });
  }

  #set(head: LedgerHead): void {
    const { grantedNanoUsd, paidNanoUsd, heldNanoUsd } = head;
    const isFunded = heldNanoUsd <= grantedNanoUsd + paidNanoUsd;
    if (!isFunded || grantedNanoUsd < 0 || paidNanoUsd < 0 || heldNanoUsd < 0)
      throw new RangeError(`${heldNanoUsd} held of ${grantedNanoUsd} granted and ${paidNanoUsd} paid`);
    this.#head = head;
  }

  /** Entries that a restart reads after the checkpoint. */
  get entriesAfterCheckpoint(): number {
    return this.#head.seq - this.#checkpointSeq;
  }

  /** The head, for a checkpoint that the caller stores in the same transaction. */
  checkpoint(): LedgerHead {
    this.#checkpointSeq = this.#head.seq;
    return this.#head;
  }

  /** Finds an entry by what it is for, even if it was folded. */
  find(kind: Exclude<EntryKind, 'charge'>, reference: string): Entry | null {
    for (const table of ['entry', 'folded']) {
      // In these words the index by reference says which entries it has.
      const query = `SELECT * FROM ${table} WHERE kind = ? AND reference = ? AND kind <> 'charge'`;
      const row = firstRow(this.#sql, query, kind, reference);
      if (row) return toEntry(row);
    }
    return null;
  }

  /** The state from which the stored entries go on: what the newest opening says; the empty ledger while there is none. */
  opening(): LedgerState {
    const row = firstRow(
      this.#sql,
      "SELECT reference FROM entry WHERE kind = 'opening' AND seq = (SELECT opening_seq FROM checkpoint)",
    );
    return row === null ? EMPTY_LEDGER : openingState(row.reference as string);
  }

  /** @throws Error when there is no entry with this number */
  entry(seq: number): Entry {
    return toEntry(this.#sql.exec<Row>('SELECT * FROM entry WHERE seq = ?', seq).one());
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
    this.#sql.exec('UPDATE checkpoint SET opening_seq = ?', openingSeq);
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
