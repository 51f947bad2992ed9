/**
 * Adds the open sums of accounts, which D1 has in their rows of `projection`, to the rows of their tables. The format is read
 * here again, not with the code under test.
 */
import type { NodeHourRow, ProjectionRow, ReceiptHourRow } from './world.ts';

type Values = readonly (string | number)[];

const NODE_COLUMNS = [
  'node_id',
  'hour_ms',
  'requests',
  'prompt_tokens',
  'cached_tokens',
  'completion_tokens',
  'charge_nano_usd',
  'granted_nano_usd',
] as const;
const RECEIPT_COLUMNS = [
  'node_id',
  'hour_ms',
  'reason',
  'receipts',
  'prompt_tokens',
  'completion_tokens',
] as const;

/** D1's rows as if all open sums had been added to their tables. */
export function withOpenSums<
  T extends {
    readonly projection?: readonly ProjectionRow[] | undefined;
    readonly node_hour?: readonly NodeHourRow[] | undefined;
    readonly receipt_hour?: readonly ReceiptHourRow[] | undefined;
  },
>(d1: T): T {
  const open = (d1.projection ?? []).flatMap(({ open_sums }) =>
    open_sums === null ? [] : [JSON.parse(open_sums) as { n: Values[]; r: Values[] }],
  );
  const { node_hour, receipt_hour } = d1;
  return {
    ...d1,
    node_hour:
      node_hour && sum([...node_hour, ...open.flatMap(({ n }) => rowsOf<NodeHourRow>(NODE_COLUMNS, n))], 2),
    receipt_hour:
      receipt_hour &&
      sum([...receipt_hour, ...open.flatMap(({ r }) => rowsOf<ReceiptHourRow>(RECEIPT_COLUMNS, r))], 3),
  };
}

function rowsOf<T>(columns: readonly string[], rows: readonly Values[]): T[] {
  return rows.map((values) => Object.fromEntries(columns.map((column, at) => [column, values[at]])) as T);
}

/** @param key how many of the first columns name a row; the others are summed */
function sum<T extends object>(rows: readonly T[], key: number): T[] {
  const sums = new Map<string, Record<string, unknown>>();
  for (const row of rows) {
    const columns = Object.keys(row);
    const values = row as Record<string, unknown>;
    const name = JSON.stringify(columns.slice(0, key).map((column) => values[column]));
    const before = sums.get(name);
    const added = (column: string) => [column, Number(before![column] ?? 0) + Number(values[column] ?? 0)];
    sums.set(name, before ? { ...before, ...Object.fromEntries(columns.slice(key).map(added)) } : values);
  }
  return [...sums.values()] as T[];
}
