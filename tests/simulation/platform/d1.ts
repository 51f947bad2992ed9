/**
 * D1 over SQLite, in memory unless a path is given. Statements are prepared once, a batch is one transaction, and every
 * call is a message.
 */
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite';
import type { Life } from '../life.ts';

interface D1Result {
  readonly results: Record<string, unknown>[];
  readonly success: true;
  readonly meta: { readonly changes: number; readonly last_row_id: number };
}

/** Sends a call over the world's network: `carryOut` runs when the call arrives, if it does. */
export type Send = <T>(life: Life, what: string, carryOut: () => T) => Promise<T>;

interface Prepared {
  readonly objects: StatementSync;
  readonly arrays: StatementSync;
  readonly reads: boolean;
}

/** The database itself, which survives every fault. */
export class D1Store {
  readonly db: DatabaseSync;
  readonly #prepared = new Map<string, Prepared>();

  constructor(migrations: readonly string[], path = ':memory:') {
    this.db = new DatabaseSync(path);
    for (const sql of migrations) this.db.exec(sql);
  }

  rows<T>(table: string): T[] {
    return this.db.prepare(`SELECT * FROM ${table}`).all() as T[];
  }

  run(sql: string, ...values: SQLInputValue[]): void {
    this.db.prepare(sql).run(...values);
  }

  all(sql: string, values: SQLInputValue[]): D1Result {
    const { objects, reads } = this.#prepare(sql);
    if (reads) return { results: objects.all(...values) as Record<string, unknown>[], ...written(0, 0) };
    const { changes, lastInsertRowid } = objects.run(...values);
    return { results: [], ...written(Number(changes), Number(lastInsertRowid)) };
  }

  raw(sql: string, values: SQLInputValue[]): unknown[][] {
    return this.#prepare(sql).arrays.all(...values) as unknown as unknown[][];
  }

  batch(statements: readonly D1Statement[]): D1Result[] {
    this.db.exec('BEGIN');
    try {
      const results = statements.map(({ sql, values }) => this.all(sql, values));
      this.db.exec('COMMIT');
      return results;
    } catch (error) {
      this.db.exec('ROLLBACK');
      throw error;
    }
  }

  #prepare(sql: string): Prepared {
    const known = this.#prepared.get(sql);
    if (known) return known;
    const objects = this.db.prepare(sql);
    const arrays = this.db.prepare(sql);
    arrays.setReturnArrays(true);
    const fresh = { objects, arrays, reads: objects.columns().length > 0 };
    this.#prepared.set(sql, fresh);
    return fresh;
  }
}

function written(changes: number, lastRowId: number): Omit<D1Result, 'results'> {
  return { success: true, meta: { changes, last_row_id: lastRowId } };
}

/** The D1 binding of one isolate or Durable Object. */
export class D1Binding {
  readonly store: D1Store;
  readonly life: Life;
  readonly send: Send;

  constructor(store: D1Store, life: Life, send: Send) {
    this.store = store;
    this.life = life;
    this.send = send;
  }

  prepare(sql: string): D1Statement {
    return new D1Statement(this, sql, []);
  }

  batch(statements: readonly D1Statement[]): Promise<D1Result[]> {
    return this.send(this.life, 'batch', () => this.store.batch(statements));
  }

  exec(sql: string): Promise<void> {
    return this.send(this.life, 'exec', () => this.store.db.exec(sql));
  }
}

export class D1Statement {
  readonly #binding: D1Binding;
  readonly sql: string;
  readonly values: SQLInputValue[];

  constructor(binding: D1Binding, sql: string, values: SQLInputValue[]) {
    this.#binding = binding;
    this.sql = sql;
    this.values = values;
  }

  /** @throws TypeError for values that D1 rejects: undefined and BigInt */
  bind(...values: unknown[]): D1Statement {
    const bound = values.map((value) => {
      if (value === undefined || typeof value === 'bigint')
        throw new TypeError(`D1 takes no ${typeof value}`);
      return (typeof value === 'boolean' ? Number(value) : value) as SQLInputValue;
    });
    return new D1Statement(this.#binding, this.sql, bound);
  }

  all(): Promise<D1Result> {
    return this.#send(() => this.#binding.store.all(this.sql, this.values));
  }

  run(): Promise<D1Result> {
    return this.all();
  }

  raw(): Promise<unknown[][]> {
    return this.#send(() => this.#binding.store.raw(this.sql, this.values));
  }

  async first(column?: string): Promise<unknown> {
    const row = (await this.all()).results[0] ?? null;
    return column === undefined || row === null ? row : row[column];
  }

  #send<T>(carryOut: () => T): Promise<T> {
    return this.#binding.send(this.#binding.life, 'statement', carryOut);
  }
}
