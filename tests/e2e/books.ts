/**
 * The books of a local Tollgate, read from the files of its processes and not through their code:
 * wallets and D1 from their SQLite files, engines from their own logs.
 */
import { createHash } from 'node:crypto';
import { globSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { readEngineLog } from '../../gpu-pool/emulator/log.ts';
import { GENESIS_HASH, hashInput } from '../../worker/domain/ledger.ts';

type Row = Record<string, number | string | null>;

export interface Books {
  /** rows of D1, by table */
  d1(table: string): Row[];
  /** rows of every wallet, by table */
  wallets(table: string): Row[];
  /** per node name: request id → tokens that the engine says it generated */
  readonly engines: Map<string, ReturnType<typeof readEngineLog>>;
}

export function openBooks(stateDir: string, nodeNames: readonly string[]): Books {
  const rowsOf = (pattern: string, table: string): Row[] =>
    globSync(join(stateDir, 'd1/v3', pattern))
      .filter((file) => !file.endsWith('metadata.sqlite'))
      .flatMap((file) => {
        const db = new DatabaseSync(file, { readOnly: true });
        try {
          return db.prepare(`SELECT * FROM ${table}`).all() as Row[];
        } finally {
          db.close();
        }
      });
  return {
    d1: (table) => rowsOf('d1/miniflare-D1DatabaseObject/*.sqlite', table),
    wallets: (table) => rowsOf('do/tollgate-Wallet/*.sqlite', table),
    engines: new Map(
      nodeNames.map((name) => [name, readEngineLog(join(stateDir, name, 'engine-log.jsonl'))]),
    ),
  };
}

/** What of the books does not add up, in words; empty when all is well. Run it when nothing is in flight. */
export function faults(books: Books): string[] {
  const found: string[] = [];
  const expectEqual = (what: string, actual: unknown, expected: unknown) => {
    if (actual !== expected) found.push(`${what}: ${String(actual)} instead of ${String(expected)}`);
  };

  for (const request of books.wallets('request')) {
    if (request.state === 'held') found.push(`${request.request_id} is still held`);
    const usage = num(request.prompt_tokens) - num(request.cached_tokens);
    const charge =
      num(request.cached_tokens) * num(request.cache_hit_nano_usd) +
      usage * num(request.cache_miss_nano_usd) +
      num(request.completion_tokens) * num(request.output_nano_usd);
    expectEqual(`charge of ${request.request_id}`, request.charge_nano_usd, charge);
  }

  const entries = books.wallets('entry');
  const credits = books.wallets('credit');
  const sum = (rows: readonly Row[], ...columns: string[]) =>
    rows.reduce((total, row) => total + columns.reduce((each, column) => each + num(row[column]), 0), 0);
  expectEqual('held', sum(credits, 'held_nano_usd'), 0);
  expectEqual(
    'sum of all entries',
    sum(entries, 'granted_nano_usd', 'paid_nano_usd'),
    sum(credits, 'granted_nano_usd', 'paid_nano_usd'),
  );
  for (const credit of credits) if (num(credit.granted_nano_usd) < 0) found.push('granted credit below zero');

  // one table: the projection is the ledger
  expectEqual('entries in D1', books.d1('ledger_entry').length, entries.length);
  const usage = books.d1('usage_event');
  const charges = entries.filter((entry) => entry.kind === 'charge');
  expectEqual(
    'charges in D1 usage',
    sum(usage, 'charge_nano_usd'),
    -sum(charges, 'granted_nano_usd', 'paid_nano_usd'),
  );
  expectEqual(
    'charges in the hourly rollup',
    sum(books.d1('usage_hour'), 'charge_nano_usd'),
    sum(usage, 'charge_nano_usd'),
  );
  expectEqual('requests in the hourly rollup', sum(books.d1('usage_hour'), 'requests'), usage.length);
  expectEqual('requests in D1', usage.length, books.wallets('request').length);
  return found;
}

/** Whether the entries of one wallet chain and add up. */
export function chainHolds(entries: readonly Row[]): boolean {
  let hash = GENESIS_HASH;
  let balance = 0;
  return [...entries]
    .sort((a, b) => num(a.seq) - num(b.seq))
    .every((row) => {
      const body = {
        seq: num(row.seq),
        atMs: num(row.at_ms),
        kind: row.kind,
        reference: row.reference,
        grantedNanoUsd: num(row.granted_nano_usd),
        paidNanoUsd: num(row.paid_nano_usd),
        balanceNanoUsd: num(row.balance_nano_usd),
      } as Parameters<typeof hashInput>[1];
      balance += body.grantedNanoUsd + body.paidNanoUsd;
      hash = createHash('sha256').update(hashInput(hash, body)).digest('hex');
      return hash === row.hash && balance === body.balanceNanoUsd;
    });
}

export interface TokenCount {
  readonly counted: number;
  readonly billed: number;
  readonly writtenOff: number;
}

/** Completion tokens of a node: as its engine counted them, as they were billed, as they were written off. */
export function tokensOf(books: Books, node: { name: string; id: string }): TokenCount {
  const counted = [...books.engines.get(node.name)!.values()].reduce(
    (sum, each) => sum + each.completionTokens,
    0,
  );
  const add = (rows: readonly Row[], column: string) =>
    rows.filter((row) => row.node_id === node.id).reduce((sum, row) => sum + num(row[column]), 0);
  return {
    counted,
    billed: add(books.d1('usage_event'), 'completion_tokens'),
    writtenOff: add(books.d1('node_receipt'), 'written_off_completion_tokens'),
  };
}

function num(value: number | string | null | undefined): number {
  if (typeof value !== 'number') throw new TypeError(`not a number: ${String(value)}`);
  return value;
}
