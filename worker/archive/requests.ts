/** Ended requests wherever they are: D1 has those of the last months, the archive the others. */
import type { DueRequest } from '../db/archive.ts';
import { type PartRow, partsOfAnyAccount, partsWithRequest } from '../db/archive-parts.ts';
import { database } from '../db/client.ts';
import {
  accountOfRequest,
  listRequests,
  PARTS_A_PAGE,
  type RequestFilter,
  type RequestPage,
  type RequestRow,
} from '../db/requests.ts';
import { idAfter } from '../domain/ids.ts';
import type { Env } from '../env.ts';
import { readRequests } from './lines.ts';

/** An archived request of the account with its receipts; null: the archive has none with this id. */
export async function findArchivedRequest(
  env: Env,
  which: { accountId: string; requestId: string },
): Promise<DueRequest | null> {
  return findIn(env, await partsWithRequest(database(env), which), which.requestId);
}

/** Parts that are searched for a request of which only the id is known; there may be one an account. */
const PARTS_SEARCHED_MAX = 40;

/** Finds the account of an ended request, for operators; null: no request with this id was found. */
export async function findAccountOfRequest(env: Env, requestId: string): Promise<string | null> {
  const db = database(env);
  const inDatabase = await accountOfRequest(db, requestId);
  if (inDatabase !== null) return inDatabase;
  const parts = await partsOfAnyAccount(db, requestId, PARTS_SEARCHED_MAX);
  const found = await findIn(env, parts, requestId);
  return found?.event.accountId ?? null;
}

async function findIn(env: Env, parts: readonly PartRow[], requestId: string): Promise<DueRequest | null> {
  for (const part of parts) {
    const found = (await readRequests(env, part)).find(({ event }) => event.requestId === requestId);
    if (found) return found;
  }
  return null;
}

/** Archived rows that one page reads at most, unless several parts hold the same time: some 40 ms of processor time. */
const ROWS_READ_MAX = 10_000;

/**
 * A page of an account's ended requests, each once, newest first. It may be short, or even empty, and still have a next
 * one.
 */
export async function listAllRequests(env: Env, filter: RequestFilter): Promise<RequestPage> {
  const hot = await listRequests(database(env), filter);
  const { next: hotNext, first, parts } = hot;
  // Of what is older than D1's page only the next page tells.
  const least = hotNext ?? first;
  const { rows: archived, unreadFrom } = await readPage(env, filter, { parts, least });
  const isRead = ({ requestId }: RequestRow) => unreadFrom === null || requestId > unreadFrom;
  const all = [...hot.rows, ...archived].filter(isRead).sort((a, b) => (a.requestId < b.requestId ? 1 : -1));
  const rows = all.slice(0, filter.limit);
  if (all.length > filter.limit) return { rows, next: rows.at(-1)!.requestId };
  return { rows, next: unreadFrom === null ? hotNext : idAfter(unreadFrom) };
}

/** @returns `unreadFrom`: the archive has rows up to this id that were not read; null: all of the range was read */
async function readPage(
  env: Env,
  filter: RequestFilter,
  { parts, least }: { parts: readonly PartRow[]; least: string },
): Promise<{ rows: RequestRow[]; unreadFrom: string | null }> {
  const rows: RequestRow[] = [];
  let read = 0;
  for (const [at, part] of parts.entries()) {
    if (part.lastKey < least) break;
    const isEnough =
      read + part.rows > ROWS_READ_MAX ||
      at === PARTS_A_PAGE - 1 ||
      rows.filter(({ requestId }) => requestId > part.lastKey).length > filter.limit;
    const isNewer = filter.before !== null && part.lastKey >= filter.before;
    if (read > 0 && isEnough && !isNewer) return { rows, unreadFrom: part.lastKey };
    const requests = await readRequests(env, part);
    read += requests.length;
    for (const { event } of requests)
      if (event.requestId >= least && matches(filter, event)) rows.push(event);
  }
  return { rows, unreadFrom: null };
}

function matches(filter: RequestFilter, row: RequestRow): boolean {
  const { before, fromMs, keyId, modelId, ending, entry } = filter;
  return (
    (before === null || row.requestId < before) &&
    row.admittedAtMs >= fromMs &&
    (keyId === null || row.keyId === keyId) &&
    (modelId === null || row.modelId === modelId) &&
    (ending === null || row.ending === ending) &&
    (entry === null ||
      (row.entrySeq === entry.seq && row.requestId >= entry.first && row.requestId <= entry.last))
  );
}
