/**
 * The books of a local Tollgate, read from the files of its processes and not through their code: wallets and D1 from
 * their SQLite files, receipts from the journals, engines from their own logs. Together they are the world of the law
 * checker.
 */
import { existsSync, globSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type LoggedRequest, readEngineLog } from '../../gpu-pool/emulator/log.ts';
import { parseCanaryId } from '../../worker/domain/canary.ts';
import { type PageRow, requestsOfPages } from '../laws/paged.ts';
import type { AccountBooks, D1Books, EngineCount, RequestRow, World } from '../laws/world.ts';

export interface BookNode {
  readonly id: string;
  readonly name: string;
}

export interface Books {
  readonly accounts: readonly AccountBooks[];
  readonly d1: D1Books;
  /** per node name: request id → what the engine says that it generated */
  readonly engines: ReadonlyMap<string, ReadonlyMap<string, LoggedRequest>>;
}

/** Tokens of one engine's attempt that it may have told nobody of. */
export type TailOf = (attempt: LoggedRequest & { requestId: string; node: BookNode }) => number;

export function openBooks(stateDir: string, nodes: readonly BookNode[]): Books {
  const engines = nodes.map(({ name }) => [name, readLogOf(stateDir, name)] as const);
  return { ...readMoney(stateDir), engines: new Map(engines) };
}

/** Only what Wallets and D1 have: cheap enough to look at again and again. */
export function readMoney(stateDir: string): Pick<Books, 'accounts' | 'd1'> {
  const files = (pattern: string) =>
    globSync(join(stateDir, 'd1/v3', pattern)).filter((file) => !file.endsWith('metadata.sqlite'));
  return {
    accounts: files('do/tollgate-Wallet/*.sqlite').flatMap((file) => reading(file, accountBooks) ?? []),
    d1: files('d1/miniflare-D1DatabaseObject/*.sqlite').map((file) => reading(file, d1Books))[0] ?? {},
  };
}

/** What these books say, for `brokenLaws`; what clients, probes and others saw is added by who saw it. */
export function worldOf(books: Books, nodes: readonly BookNode[], tailOf: TailOf = () => 0): World {
  return {
    final: true,
    accounts: books.accounts,
    d1: books.d1,
    nodes: nodes.map((node) => ({
      nodeId: node.id,
      counts: [...(books.engines.get(node.name) ?? [])].map(([requestId, attempt]) =>
        engineCount(requestId, attempt, tailOf({ ...attempt, requestId, node })),
      ),
    })),
  };
}

export interface TokenCount {
  readonly counted: number;
  readonly billed: number;
  readonly writtenOff: number;
}

/** Completion tokens of a node: as its engine counted them, as they were billed, as they were written off. */
export function tokensOf({ engines, d1 }: Books, node: BookNode): TokenCount {
  const own = <T extends { readonly node_id: string | null }>(rows: readonly T[] = []) =>
    rows.filter((row) => row.node_id === node.id);
  return {
    counted: sum([...(engines.get(node.name)?.values() ?? [])], (each) => each.completionTokens),
    billed: sum(own(d1.usage_event), (row) => row.completion_tokens),
    writtenOff: sum(own(d1.node_receipt), (row) => row.written_off_completion_tokens),
  };
}

export function sum<T>(rows: readonly T[], of: (row: T) => number): number {
  return rows.reduce((total, row) => total + of(row), 0);
}

function engineCount(requestId: string, attempt: LoggedRequest, tailTokensMax: number): EngineCount {
  const { completionTokens, promptTokens } = attempt;
  // an engine speaks of the prompt with its first token: until then nobody can know that it was read
  const told = completionTokens > 0 ? { promptTokens } : {};
  return { requestId, completionTokens, tailTokensMax, ...told };
}

function readLogOf(stateDir: string, name: string): Map<string, LoggedRequest> {
  const file = join(stateDir, name, 'engine-log.jsonl');
  const logged = existsSync(file) ? readEngineLog(file) : [];
  // the edge's own requests are on nobody's books
  return new Map([...logged].filter(([requestId]) => parseCanaryId(requestId) === null));
}

type Select = <T>(table: string, columns?: string) => T[] | undefined;

/** Who opens a database after a crash locks it until what was written is recovered. */
const LOCK_MS_MAX = 5_000;

/** Reads a database in one transaction: its processes may be writing. */
function reading<T>(file: string, read: (select: Select) => T): T {
  const db = new DatabaseSync(file, { readOnly: true, timeout: LOCK_MS_MAX });
  try {
    db.exec('BEGIN');
    const tables = new Set(
      (db.prepare('SELECT name FROM sqlite_master').all() as { name: string }[]).map(({ name }) => name),
    );
    return read((table, columns = '*') =>
      tables.has(table) ? (db.prepare(`SELECT ${columns} FROM ${table}`).all() as never) : undefined,
    );
  } finally {
    db.close();
  }
}

/** Null: a Wallet that was never called by its account's name. */
function accountBooks(select: Select): AccountBooks | null {
  const accountId = select<{ id: string }>('account')?.[0]?.id;
  if (accountId === undefined) return null;
  const requests = select<RequestRow>('request');
  const page = select<PageRow>('page');
  return {
    accountId,
    credit: select<never>('credit')?.[0],
    entry: select('entry'),
    request: requests && [...requests, ...requestsOfPages(page ?? [])],
    lease: select('lease'),
    page,
    receipt: select('receipt'),
    key_spend: select('key_spend'),
    token_spend: select('token_spend'),
    replay: select('replay', 'lookup, request_id, runs, answer, paid_nano_usd'),
    outbox: select('outbox')?.length,
  };
}

function d1Books(select: Select): D1Books {
  return {
    usage_event: select('usage_event'),
    usage_hour: select('usage_hour'),
    node_hour: select('node_hour'),
    ledger_entry: select('ledger_entry'),
    node_receipt: select('node_receipt'),
    receipt_hour: select('receipt_hour'),
    price: select('price'),
    payment_order: select('payment_order'),
    payment_event: select('payment_event'),
    payment_correction: select('payment_correction'),
    api_key: select('api_key'),
  };
}
