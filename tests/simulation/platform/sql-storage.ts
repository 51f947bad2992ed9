/** SqlStorage of a Durable Object over SQLite in memory. */
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite';

type Row = Record<string, unknown>;

interface Prepared {
  readonly statement: StatementSync;
  readonly reads: boolean;
}

export class SimSqlStorage {
  readonly db = new DatabaseSync(':memory:');
  readonly #prepared = new Map<string, Prepared>();

  exec(query: string, ...bindings: unknown[]): Cursor {
    const known = this.#prepared.get(query);
    if (known) return run(known, bindings);
    // only a query without bindings can be several statements
    if (bindings.length === 0 && /;\s*\S/.test(query)) {
      this.db.exec(query);
      return new Cursor([], 0);
    }
    const statement = this.db.prepare(query);
    const fresh = { statement, reads: statement.columns().length > 0 };
    this.#prepared.set(query, fresh);
    return run(fresh, bindings);
  }

  rows<T>(query: string): T[] {
    return this.exec(query).toArray() as T[];
  }

  transaction<T>(work: () => T): T {
    this.exec('BEGIN');
    try {
      const result = work();
      this.exec('COMMIT');
      return result;
    } catch (error) {
      this.exec('ROLLBACK');
      throw error;
    }
  }
}

function run({ statement, reads }: Prepared, bindings: unknown[]): Cursor {
  const values = bindings as SQLInputValue[];
  if (!reads) return new Cursor([], Number(statement.run(...values).changes));
  const rows = statement.all(...values) as Row[];
  for (const row of rows)
    for (const column in row) {
      const value = row[column];
      if (value instanceof Uint8Array) row[column] = value.slice().buffer;
    }
  return new Cursor(rows, 0);
}

class Cursor {
  readonly #rows: Row[];
  readonly rowsWritten: number;

  constructor(rows: Row[], rowsWritten: number) {
    this.#rows = rows;
    this.rowsWritten = rowsWritten;
  }

  toArray(): Row[] {
    return this.#rows;
  }

  one(): Row {
    if (this.#rows.length !== 1) throw new Error(`expected one row, found ${this.#rows.length}`);
    return this.#rows[0]!;
  }

  [Symbol.iterator]() {
    return this.#rows[Symbol.iterator]();
  }
}
