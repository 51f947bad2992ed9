/** Wraps D1 with counters, which add up the rows read and written by D1's own `meta`. */
import { type D1Counts, statementName } from './counts.ts';

interface Result {
  readonly results: Record<string, unknown>[];
  readonly meta: { rows_read: number; rows_written: number };
}
interface Statement {
  bind(...values: unknown[]): Statement;
  first(column?: string): Promise<unknown>;
  run(): Promise<Result>;
  all(): Promise<Result>;
  raw(options?: { columnNames?: boolean }): Promise<unknown[]>;
}
interface Database {
  prepare(sql: string): Statement;
  batch(statements: Statement[]): Promise<Result[]>;
  exec(sql: string): Promise<unknown>;
  withSession(constraint?: string): Omit<Database, 'exec' | 'withSession'>;
}

type Tally = { -readonly [K in keyof D1Counts]: D1Counts[K] };

/** Counts each statement of a batch as a query, as Cloudflare does. */
export function countedDatabase(database: Database, tally: Tally): Database {
  const originals = new WeakMap<Statement, Statement>();
  const texts = new WeakMap<Statement, string>();
  const count = <R extends Result>(result: R, sql: string): R => {
    const { rows_read, rows_written } = result.meta;
    tally.queries += 1;
    tally.rowsRead += rows_read;
    tally.rowsWritten += rows_written;
    if (rows_written > 0) {
      const name = statementName(sql);
      tally.written[name] = (tally.written[name] ?? 0) + rows_written;
    }
    return result;
  };

  const countedStatement = (statement: Statement, sql: string): Statement => {
    const all = async () => count(await statement.all(), sql);
    const counted: Statement = {
      bind: (...values) => countedStatement(statement.bind(...values), sql),
      run: async () => count(await statement.run(), sql),
      all,
      first: async (column) => {
        const row = (await all()).results[0] ?? null;
        return column === undefined || row === null ? row : row[column];
      },
      raw: async (options) => {
        // `raw` reports no `meta`. A query is run once more by `all` for it, because only `raw` keeps columns of the same
        // name apart; a write returns columns of one table, so `all` alone serves.
        if (/^\s*(select|with)\b/i.test(sql)) {
          await all();
          return statement.raw(options);
        }
        const { results } = await all();
        const rows = results.map((row) => Object.values(row));
        return options?.columnNames ? [Object.keys(results[0] ?? {}), ...rows] : rows;
      },
    };
    originals.set(counted, statement);
    texts.set(counted, sql);
    return counted;
  };

  const over = (target: Omit<Database, 'exec' | 'withSession'>) => ({
    prepare: (sql: string) => countedStatement(target.prepare(sql), sql),
    batch: async (statements: Statement[]) => {
      const results = await target.batch(statements.map((each) => originals.get(each) ?? each));
      return results.map((result, i) => count(result, texts.get(statements[i]!) ?? ''));
    },
  });

  return {
    ...over(database),
    exec: (sql) => database.exec(sql),
    withSession: (constraint) => over(database.withSession(constraint)),
  };
}
