/** An account that has used its credit for half a year, as its Wallet published it to D1. */
import { vi } from 'vitest';
import { archive } from '../../../worker/archive/archive.ts';
import { exportAccount } from '../../../worker/archive/export.ts';
import { listAllRequests } from '../../../worker/archive/requests.ts';
import { database } from '../../../worker/db/client.ts';
import { project } from '../../../worker/db/projection.ts';
import { newId } from '../../../worker/domain/ids.ts';
import type { Entry } from '../../../worker/domain/ledger.ts';
import { nanoUsd, usd } from '../../../worker/domain/money.ts';
import type { OutboxItem, UsageRecord } from '../../../worker/domain/outbox.ts';
import type { Env } from '../../../worker/env.ts';
import { env, price, publish, receiptOf, usage, walletWith } from '../wallet/fixtures.ts';

export const MINUTE_MS = 60_000;
export const HOUR_MS = 3_600_000;
/** What is older than the month that this is in or than the three months before is due. */
export const NOW = Date.UTC(2026, 10, 30, 12);
/** Requests of each of these times are charged; those of June and July are due at NOW. */
const TIMES = [
  Date.UTC(2026, 5, 10),
  Date.UTC(2026, 5, 10, 0, 1),
  Date.UTC(2026, 5, 20),
  Date.UTC(2026, 6, 5),
  Date.UTC(2026, 6, 31, 23, 59),
  Date.UTC(2026, 9, 1),
  Date.UTC(2026, 10, 29),
];
/** Requests that are due at NOW. */
export const DUE = 5;
/** Entries that are due at NOW: the grant and a charge each. */
export const DUE_ENTRIES = 1 + DUE;

export function setTime(nowMs: number): void {
  vi.useFakeTimers({ toFake: ['Date'], now: nowMs });
}

/** @returns the account, and its requests' ids, oldest first */
export async function customerWithPast(accountId = newId('acct', Date.now())) {
  setTime(TIMES[0]!);
  await env.DB.prepare('INSERT OR IGNORE INTO account (id, name, created_at_ms) VALUES (?, ?, ?)')
    .bind(accountId, 'Past', Date.now())
    .run();
  const customer = await walletWith(usd(1), accountId);
  const requestIds: string[] = [];
  for (const [at, time] of TIMES.entries()) {
    setTime(time);
    requestIds.push(await customer.charge(usage(100 + at, 10, 20), { price, keyId: `key_${at % 2}` }));
    // A node that counted three tokens more: a receipt with a row of its own.
    if (at === 1) await customer.wallet.reconcile([receiptOf(requestIds[1]!, 'node_a', usage(101, 10, 23))]);
    await publish(customer.wallet);
  }
  setTime(NOW);
  return { ...customer, requestIds };
}

/** A few requests of one month that is due, each with an entry of its own, as published to D1; there is no Wallet. */
export async function smallPast(accountId: string, count = 3): Promise<string[]> {
  const times = Array.from({ length: count }, (_, at) => TIMES[0]! + at * MINUTE_MS);
  const items = times.flatMap((atMs, at): OutboxItem[] => {
    const requestId = newId('req', atMs);
    const entrySeq = at + 1;
    return [
      { kind: 'usage', accountId, requests: [requestAt(atMs, { requestId, entrySeq })] },
      { kind: 'entry', accountId, entry: chargeOf(requestId, entrySeq, atMs) },
    ];
  });
  await env.DB.prepare('INSERT INTO account (id, name, created_at_ms) VALUES (?, ?, ?)')
    .bind(accountId, 'Past', TIMES[0]!)
    .run();
  await project(
    database(env),
    accountId,
    items.map((item, at) => ({ seq: at + 1, item })),
  );
  return items.flatMap((item) =>
    item.kind === 'usage' ? item.requests.map(({ requestId }) => requestId) : [],
  );
}

export function requestAt(admittedAtMs: number, change: Partial<UsageRecord> = {}): UsageRecord {
  return {
    requestId: newId('req', admittedAtMs),
    keyId: 'key_1',
    modelId: 'deepseek-r1-0528',
    stream: true,
    state: 'voided',
    ending: 'not_served',
    nodeId: null,
    admittedAtMs,
    endedAtMs: admittedAtMs + 5,
    heldNanoUsd: nanoUsd(0),
    price,
    usage: usage(0, 0, 0),
    chargeNanoUsd: nanoUsd(0),
    entrySeq: null,
    ttftMs: null,
    grantedNanoUsd: nanoUsd(0),
    ...change,
  };
}

function chargeOf(reference: string, seq: number, atMs: number): Entry {
  const nothing = nanoUsd(0);
  const legs = { grantedNanoUsd: nothing, paidNanoUsd: nothing, balanceNanoUsd: nothing };
  return { seq, atMs, kind: 'charge', reference, hash: String(seq).padStart(64, '0'), ...legs };
}

let runs = 0;
/** The next run's time: hours pass from run to run. */
export function nextTime(): number {
  runs += 1;
  return NOW + runs * 2 * HOUR_MS;
}

export function run(using: Env = env, change: { rowsMax?: number; nowMs?: number } = {}): Promise<number> {
  return archive(using, { nowMs: nextTime(), token: crypto.randomUUID(), ...change });
}

/** Runs until nothing is left to archive. @returns the parts of each run */
export async function runAll(using: Env = env): Promise<number[]> {
  const parts: number[] = [];
  do parts.push(await run(using));
  while (parts.at(-1)! > 0);
  return parts;
}

const EVERYTHING = { fromMs: 0, keyId: null, modelId: null, ending: null, entry: null };

/** The ids of all requests, newest first, page by page. */
export async function listedIds(accountId: string, limit = 2): Promise<string[]> {
  const ids: string[] = [];
  let before: string | null = null;
  do {
    const page = await listAllRequests(env, { ...EVERYTHING, accountId, before, limit });
    ids.push(...page.rows.map(({ requestId }) => requestId));
    before = page.next;
  } while (before !== null);
  return ids;
}

/** What an export holds of a table. */
export async function exported(accountId: string, table: string): Promise<Record<string, unknown>[]> {
  const rows: Record<string, unknown>[] = [];
  for await (const row of exportAccount(env, accountId)) if (row.table === table) rows.push(row);
  return rows;
}

/** The keys of all objects of the account in R2, and those that the manifest names. */
export async function objectsOf(accountId: string): Promise<{ stored: string[]; named: string[] }> {
  const { objects } = await env.ARCHIVE.list({ prefix: `${accountId}/` });
  const { results } = await env.DB.prepare(
    'SELECT object_key FROM archive_part WHERE account_id = ? ORDER BY object_key',
  )
    .bind(accountId)
    .all<{ object_key: string }>();
  return { stored: objects.map(({ key }) => key).sort(), named: results.map(({ object_key }) => object_key) };
}

export async function countOf(table: string, accountId: string): Promise<number> {
  const row = await env.DB.prepare(`SELECT count(*) AS n FROM ${table} WHERE account_id = ?`)
    .bind(accountId)
    .first<{ n: number }>();
  return row!.n;
}
