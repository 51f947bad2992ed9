/**
 * The ResponseStore: one Durable Object per account, apart from its Wallet, so that no conversation's bytes pass through the
 * object that every admission waits for. It holds ciphertext and cannot open it (gateway/stored-responses/seal.ts).
 *
 * response  one row a response, in the order in which they came
 * section   the sealed sections of a response, in parts
 * stored    one row: the bytes of all responses
 */
import { DurableObject } from 'cloudflare:workers';
import { concatBytes } from '../domain/bytes.ts';
import {
  type LoadedResponse,
  type LoadedSections,
  REFERRED_BYTES_MAX,
  REFERRED_MAX,
  type ResponseStoreApi,
  SECTIONS,
  type SealedResponse,
  STORED_BYTES_MAX,
  STORED_FOR_MS,
  STORED_ROW_BYTES,
  type WantedResponse,
} from '../domain/stored-response.ts';
import type { Env } from '../env.ts';

const SCHEMA = `
CREATE TABLE IF NOT EXISTS response (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  lookup TEXT NOT NULL UNIQUE,
  previous TEXT,
  kept_at_ms INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  input_size INTEGER NOT NULL,
  output_size INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS section (
  seq INTEGER NOT NULL,
  name TEXT NOT NULL,
  part INTEGER NOT NULL,
  bytes BLOB NOT NULL,
  PRIMARY KEY (seq, name, part)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS stored (id INTEGER PRIMARY KEY CHECK (id = 1), bytes INTEGER NOT NULL) STRICT;
INSERT OR IGNORE INTO stored VALUES (1, 0);
`;

/** SQLite in a Durable Object limits a value to 2 MB. */
const PART_BYTES = 1_000_000;
/** Responses that one alarm removes, so that its transaction stays short. */
const EXPIRED_PER_ALARM_MAX = 1_000;
/** Removed lookups that are remembered, at a hundred bytes each. */
const REMOVED_MAX = 1_000;

interface Row extends Record<string, SqlStorageValue> {
  seq: number;
  previous: string | null;
  bytes: number;
  input_size: number;
  output_size: number;
}

/** The responses and bytes that one `load` may still read. */
interface Budget {
  responses: number;
  bytes: number;
}

export class ResponseStore extends DurableObject<Env> implements ResponseStoreApi {
  readonly #sql: SqlStorage;
  /** Lookups that were removed a moment ago: nobody need wait for these to be stored. */
  readonly #removed = new Set<string>();

  constructor(state: DurableObjectState, env: Env) {
    super(state, env);
    this.#sql = state.storage.sql;
    this.#sql.exec(SCHEMA);
  }

  async keep({ lookup, previous, sections, sizes }: SealedResponse): Promise<void> {
    const nowMs = Date.now();
    const bytes = SECTIONS.reduce((sum, name) => sum + sections[name].length, STORED_ROW_BYTES);
    this.ctx.storage.transactionSync(() => {
      // Repeated, because the reply to the first call was lost.
      if (this.#find(lookup, 0) !== null) return;
      this.#sql.exec(
        `INSERT INTO response (lookup, previous, kept_at_ms, bytes, input_size, output_size)
         VALUES (?, ?, ?, ?, ?, ?)`,
        ...[lookup, previous, nowMs, bytes, sizes.input, sizes.output],
      );
      const { seq } = this.#sql.exec('SELECT last_insert_rowid() AS seq').one() as { seq: number };
      for (const name of SECTIONS) this.#write(seq, name, sections[name]);
      this.#count(bytes);
      while (this.#bytes() > STORED_BYTES_MAX) this.#drop(this.#oldest(1));
    });
    await this.#wake();
  }

  async load(wanted: readonly WantedResponse[]): Promise<LoadedResponse[]> {
    const budget = { responses: REFERRED_MAX, bytes: REFERRED_BYTES_MAX };
    const afterMs = Date.now() - STORED_FOR_MS;
    return wanted.map((each) => this.#links(each, afterMs, budget));
  }

  async remove(lookup: string): Promise<'removed' | 'missing' | 'again'> {
    const row = this.#find(lookup, Date.now() - STORED_FOR_MS);
    if (row === null) return this.#removed.has(lookup) ? 'again' : 'missing';
    this.ctx.storage.transactionSync(() => this.#drop([row]));
    if (this.#removed.size >= REMOVED_MAX) this.#removed.clear();
    this.#removed.add(lookup);
    return 'removed';
  }

  async erase(): Promise<void> {
    await this.ctx.storage.deleteAlarm();
    await this.ctx.storage.deleteAll();
    // An object that lives on must find its tables.
    this.#sql.exec(SCHEMA);
  }

  /** Removes what has been kept for as long as it may be. */
  override async alarm(): Promise<void> {
    const beforeMs = Date.now() - STORED_FOR_MS;
    this.ctx.storage.transactionSync(() => {
      this.#drop(this.#oldest(EXPIRED_PER_ALARM_MAX).filter(({ kept_at_ms }) => kept_at_ms <= beforeMs));
    });
    await this.#wake();
  }

  #links({ lookup, sections, chain }: WantedResponse, afterMs: number, budget: Budget): LoadedResponse {
    const links: LoadedSections[] = [];
    for (let next: string | null = lookup; next !== null; ) {
      const row = this.#find(next, afterMs);
      if (row === null) return { links, end: this.#removed.has(next) ? 'removed' : 'missing' };
      budget.responses -= 1;
      for (const name of sections) if (name !== 'response') budget.bytes -= row[`${name}_size`] as number;
      if (budget.responses < 0 || budget.bytes < 0) return { links, end: 'too_large' };
      links.push(Object.fromEntries(sections.map((name) => [name, this.#read(row.seq, name)])));
      next = chain ? row.previous : null;
    }
    return { links, end: 'beginning' };
  }

  #find(lookup: string, afterMs: number): Row | null {
    const sql = 'SELECT * FROM response WHERE lookup = ? AND kept_at_ms > ?';
    return this.#sql.exec<Row>(sql, lookup, afterMs).toArray()[0] ?? null;
  }

  #oldest(limit: number): (Row & { kept_at_ms: number })[] {
    const sql = 'SELECT * FROM response ORDER BY seq LIMIT ?';
    return this.#sql.exec<Row & { kept_at_ms: number }>(sql, limit).toArray();
  }

  #drop(rows: readonly Row[]): void {
    for (const { seq, bytes } of rows) {
      this.#sql.exec('DELETE FROM section WHERE seq = ?', seq);
      this.#sql.exec('DELETE FROM response WHERE seq = ?', seq);
      this.#count(-bytes);
    }
  }

  #write(seq: number, name: string, bytes: Uint8Array): void {
    for (let part = 0; part * PART_BYTES < bytes.length; part++) {
      const slice = bytes.slice(part * PART_BYTES, (part + 1) * PART_BYTES);
      this.#sql.exec('INSERT INTO section VALUES (?, ?, ?, ?)', seq, name, part, slice);
    }
  }

  #read(seq: number, name: string): Uint8Array {
    const sql = 'SELECT bytes FROM section WHERE seq = ? AND name = ? ORDER BY part';
    const parts = this.#sql.exec<{ bytes: ArrayBuffer }>(sql, seq, name).toArray();
    return concatBytes(parts.map(({ bytes }) => new Uint8Array(bytes)));
  }

  #count(bytes: number): void {
    this.#sql.exec('UPDATE stored SET bytes = bytes + ?', bytes);
  }

  #bytes(): number {
    return this.#sql.exec<{ bytes: number }>('SELECT bytes FROM stored').one().bytes;
  }

  /** Sets the alarm for the oldest response's end. An alarm that is set comes no later than that. */
  async #wake(): Promise<void> {
    if ((await this.ctx.storage.getAlarm()) !== null) return;
    const [oldest] = this.#oldest(1);
    if (oldest) await this.ctx.storage.setAlarm(oldest.kept_at_ms + STORED_FOR_MS);
  }
}
