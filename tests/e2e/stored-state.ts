/**
 * The stored state of a local Tollgate, read from the files of its processes and not through their code: Wallets and D1 from
 * their SQLite files, engines' token counts from their own logs. The law checker compares them.
 */
import { existsSync, globSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { isPromptPassId } from '../../gpu-pool/agent/sglang/request.ts';
import { type LoggedRequest, readEngineLog } from '../../gpu-pool/emulator/log.ts';
import { parseCanaryId } from '../../worker/domain/canary.ts';
import { withOpenSums } from '../laws/open-sums.ts';
import { requestsOfGroups } from '../laws/settlement-group-rows.ts';
import type {
  AccountRows,
  D1Rows,
  EngineCount,
  ProjectionRow,
  RequestRow,
  SettlementGroupRow,
  World,
} from '../laws/world.ts';

export interface EnrolledNode {
  readonly id: string;
  readonly name: string;
}

export interface StoredState {
  readonly accounts: readonly AccountRows[];
  readonly d1: D1Rows;
  /** By node name and request id: what the engine generated, by its own log. */
  readonly engines: ReadonlyMap<string, ReadonlyMap<string, LoggedRequest>>;
}

/** The most tokens that an attempt at an engine may have generated without reporting them. */
export type TailTokensOf = (attempt: LoggedRequest & { requestId: string; node: EnrolledNode }) => number;

export function readStoredState(stateDir: string, nodes: readonly EnrolledNode[]): StoredState {
  const engines = nodes.map(({ name }) => [name, readLogOf(stateDir, name)] as const);
  return { ...readLedgers(stateDir), engines: new Map(engines) };
}

/** Reads only the Wallets and D1, which is cheap enough to be repeated while waiting. */
export function readLedgers(stateDir: string): Pick<StoredState, 'accounts' | 'd1'> {
  const files = (pattern: string) =>
    globSync(join(stateDir, 'd1/v3', pattern)).filter((file) => !file.endsWith('metadata.sqlite'));
  return {
    accounts: files('do/tollgate-Wallet/*.sqlite').flatMap((file) => reading(file, readAccount) ?? []),
    d1: files('d1/miniflare-D1DatabaseObject/*.sqlite').map((file) => reading(file, readD1))[0] ?? {},
  };
}

/** The stored state as input of `brokenLaws`. The caller adds what clients, probes and others observed. */
export function worldOf(
  stored: StoredState,
  nodes: readonly EnrolledNode[],
  tailTokensOf: TailTokensOf = () => 0,
): World {
  return {
    final: true,
    accounts: stored.accounts,
    d1: stored.d1,
    nodes: nodes.map((node) => ({
      nodeId: node.id,
      counts: [...(stored.engines.get(node.name) ?? [])].map(([requestId, attempt]) =>
        engineCount(requestId, attempt, tailTokensOf({ ...attempt, requestId, node })),
      ),
    })),
  };
}

export interface TokenCount {
  readonly counted: number;
  readonly billed: number;
  readonly writtenOff: number;
}

/** A node's completion tokens as its engine counted them, as they were billed and as they were written off. */
export function tokensOf({ engines, d1 }: StoredState, node: EnrolledNode): TokenCount {
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
  // an engine reports the prompt's tokens with its first token: until then no one can know that the prompt was read
  const reported = completionTokens > 0 ? { promptTokens } : {};
  return { requestId, completionTokens, tailTokensMax, ...reported };
}

function readLogOf(stateDir: string, name: string): Map<string, LoggedRequest> {
  const file = join(stateDir, name, 'engine-log.jsonl');
  const logged = existsSync(file) ? readEngineLog(file) : [];
  // the edge's own canary requests belong to no account, and the agent's passes over prompts are billed to none
  const isPaid = (rid: string) => parseCanaryId(rid) === null && !isPromptPassId(rid);
  return new Map([...logged].filter(([rid]) => isPaid(rid)));
}

type Select = <T>(table: string, columns?: string) => T[] | undefined;

/** The process that opens a database after a crash locks it until the recovery is done; readers wait this long. */
const LOCK_MS_MAX = 5_000;

/** Reads a database in one transaction, because its process may be writing. */
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

/** @returns null for a Wallet that was never called by its account's id */
function readAccount(select: Select): AccountRows | null {
  const accountId = select<{ id: string }>('account')?.[0]?.id;
  if (accountId === undefined) return null;
  const requests = select<RequestRow>('request');
  const page = select<SettlementGroupRow>('page');
  return {
    accountId,
    credit: select<never>('credit')?.[0],
    entry: select('entry'),
    request: requests && [...requests, ...requestsOfGroups(page ?? [])],
    lease: select('lease'),
    page,
    receipt: select('receipt'),
    key_spend: select('spend'),
    token_spend: select('token_spend'),
    replay: select('replay', 'lookup, request_id, runs, answer, paid_nano_usd'),
    outbox: select('outbox')?.length,
  };
}

function readD1(select: Select): D1Rows {
  return withOpenSums({
    projection: select<ProjectionRow>('projection'),
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
  });
}
