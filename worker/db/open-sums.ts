/**
 * Open sums: an account's newest hourly sums by node, and the last uses of its keys. They are stored in its row of
 * `projection`, which each publication writes anyway, and added to their own tables together: when they have become many, or
 * when they are a day old. Whoever reads those tables adds the open sums.
 *
 * The column is JSON, with rows as arrays of these columns in this order, which must stay: {"n": node_hour, "r": receipt_hour,
 * "k": keys}.
 */
import type { Database } from './client.ts';
import { KEYS_USED, NODE_HOUR, RECEIPT_HOUR, type Row, type Statement } from './projection-sql.ts';

/** More are added to their tables. Each is some 60 bytes of a row that every publication rewrites. */
const ROWS_MAX = 24;

type Kind = 'n' | 'r' | 'k';
/** The columns of each kind's table: the first `key` name a row, the next `sums` are summed, the others keep the greatest value. */
const KINDS: Record<Kind, { statement: Statement; key: number; sums: number }> = {
  n: { statement: NODE_HOUR, key: 2, sums: 6 },
  r: { statement: RECEIPT_HOUR, key: 3, sums: 5 },
  k: { statement: KEYS_USED, key: 1, sums: 0 },
};
const KIND_NAMES: readonly Kind[] = ['n', 'r', 'k'];

type Values = (string | number | null)[];
export type OpenSums = Readonly<Record<Kind, readonly Row[]>>;
export const NO_SUMS: OpenSums = { n: [], r: [], k: [] };

export function parseOpenSums(text: string | null): OpenSums {
  if (text === null) return NO_SUMS;
  const stored = JSON.parse(text) as Record<Kind, Values[]>;
  const rowsOf = (kind: Kind) =>
    stored[kind].map((values) =>
      Object.fromEntries(KINDS[kind].statement.columns.map((column, at) => [column, values[at]!])),
    );
  return { n: rowsOf('n'), r: rowsOf('r'), k: rowsOf('k') };
}

/** @returns null: there are none */
export function openSumsText(sums: OpenSums): string | null {
  if (isEmpty(sums)) return null;
  const valuesOf = (kind: Kind) =>
    sums[kind].map((row) => KINDS[kind].statement.columns.map((column) => row[column]));
  return JSON.stringify({ n: valuesOf('n'), r: valuesOf('r'), k: valuesOf('k') });
}

/** The beginning of the oldest of them; null: there are none. */
export function openSinceMs({ n, r, k }: OpenSums): number | null {
  const times = [...[...n, ...r].map(({ hour_ms }) => hour_ms), ...k.map(({ at_ms }) => at_ms)];
  return times.length === 0 ? null : Math.min(...times.map(Number));
}

/** Adds new sums to the open ones. When they have become many, all of them are to be added to their tables. */
export function addOpenSums(open: OpenSums, more: OpenSums): { open: OpenSums; full: OpenSums } {
  const sums = {
    n: added('n', [...open.n, ...more.n]),
    r: added('r', [...open.r, ...more.r]),
    k: added('k', [...open.k, ...more.k]),
  };
  const isFull = KIND_NAMES.reduce((rows, kind) => rows + sums[kind].length, 0) > ROWS_MAX;
  return isFull ? { open: NO_SUMS, full: sums } : { open: sums, full: NO_SUMS };
}

function added(kind: Kind, rows: readonly Row[]): Row[] {
  const { statement, key, sums } = KINDS[kind];
  const names = statement.columns.slice(0, key);
  const total = new Map<string, Row>();
  for (const row of rows) {
    const id = JSON.stringify(names.map((column) => row[column]));
    const before = total.get(id);
    const sum = (column: string, at: number) => {
      const [a, b] = [Number(before![column]), Number(row[column])];
      return at < key ? row[column]! : at < key + sums ? a + b : Math.max(a, b);
    };
    total.set(
      id,
      before ? Object.fromEntries(statement.columns.map((column, at) => [column, sum(column, at)])) : row,
    );
  }
  return [...total.values()];
}

function isEmpty(sums: OpenSums): boolean {
  return KIND_NAMES.every((kind) => sums[kind].length === 0);
}

/** The open sums of one kind as rows of their table, for a query that adds them. It reads every account's row. */
export function openRows(kind: Kind): string {
  const values = KINDS[kind].statement.columns.map((column, at) => `o.value ->> ${at} AS ${column}`);
  return `SELECT ${values.join(', ')} FROM projection AS p CROSS JOIN json_each(p.open_sums, '$.${kind}') AS o`;
}

const addTo = (table: string, kind: Kind): string => {
  const { statement, key, sums } = KINDS[kind];
  const columns = statement.columns.map((_, at) => {
    const value = `o.value ->> ${at}`;
    return at < key ? value : at < key + sums ? `sum(${value})` : `max(${value})`;
  });
  const changes = statement.columns.slice(key).map((column, at) => {
    const before = `${table}.${column}`;
    return at < sums
      ? `${column} = ${before} + excluded.${column}`
      : `${column} = max(${before}, excluded.${column})`;
  });
  const group = Array.from({ length: key }, (_, at) => String(at + 1));
  return `INSERT INTO ${table} (${statement.columns.join(', ')}) SELECT ${columns.join(', ')}
    FROM projection AS p CROSS JOIN json_each(p.open_sums, '$.${kind}') AS o
    WHERE p.open_since_ms < ?1 GROUP BY ${group.join(', ')}
    ON CONFLICT DO UPDATE SET ${changes.join(', ')}`;
};

const CLOSE = [
  addTo('node_hour', 'n'),
  addTo('receipt_hour', 'r'),
  `UPDATE api_key SET last_used_at_ms = max(coalesce(last_used_at_ms, 0), used.at_ms) FROM (
     SELECT o.value ->> 0 AS key_id, max(o.value ->> 1) AS at_ms
     FROM projection AS p CROSS JOIN json_each(p.open_sums, '$.k') AS o WHERE p.open_since_ms < ?1 GROUP BY 1) AS used
   WHERE id = used.key_id`,
  // A publication that has read the sums before finds that they were closed, and starts again.
  'UPDATE projection SET open_sums = NULL, open_since_ms = NULL, closed = closed + 1 WHERE open_since_ms < ?1',
];

/** Adds the open sums of all accounts that were begun before `beforeMs` to their tables, a row for each node and hour. */
export async function closeOpenSums(db: Database, beforeMs: number): Promise<void> {
  await db.$client.batch(CLOSE.map((statement) => db.$client.prepare(statement).bind(beforeMs)));
}
