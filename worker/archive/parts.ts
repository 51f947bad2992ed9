/** The next part of an account: the rows of the oldest month that is due, requests before ledger entries. */

import { type Due, dueEntries, dueRequests, type LeavingRows } from '../db/archive.ts';
import { lastPart } from '../db/archive-parts.ts';
import type { Database } from '../db/client.ts';
import { formatPart, monthOf, type PartText, rowsOfFirstMonth } from '../domain/archive.ts';
import { timeOfId } from '../domain/ids.ts';
import { LoggableError } from '../lib/describe-error.ts';
import { sha256 } from '../lib/sha256.ts';
import { entryLine, ROW_OF, requestLine } from './lines.ts';

export type NextPart = PartText & { readonly leaving: LeavingRows };

/** @returns null: nothing of the account is due @throws Error when its ledger in D1 has a gap */
export async function nextPart(db: Database, due: Due): Promise<NextPart | null> {
  return (await nextRequests(db, due)) ?? (await nextEntries(db, due));
}

async function nextRequests(db: Database, due: Due): Promise<NextPart | null> {
  const { accountId } = due;
  const rows = rowsOfFirstMonth(await dueRequests(db, due), ({ event }) => timeOfId(event.requestId));
  if (rows.length === 0) return null;
  const last = await lastPart(db, { accountId, kind: 'requests' });
  const lines = rows.map(requestLine);
  const content = {
    ...{ kind: 'requests' as const, accountId, part: (last?.seq ?? 0) + 1, previous: last?.hash ?? null },
    month: monthOf(timeOfId(rows[0]!.event.requestId)),
    openingBalanceNanoUsd: null,
    rows: lines.map((value) => ({ ...ROW_OF.requests(value as never), value })),
  };
  const leaving = {
    requestIds: rows.map(({ event }) => event.requestId),
    receipts: rows.flatMap(({ receipts }) => receipts),
    findings: rows.flatMap(({ findings }) => findings),
    entries: null,
  };
  return { ...formatPart(content, sha256), leaving };
}

async function nextEntries(db: Database, due: Due): Promise<NextPart | null> {
  const { accountId } = due;
  const rows = rowsOfFirstMonth(await dueEntries(db, due), ({ atMs }) => atMs);
  if (rows.length === 0) return null;
  const last = await lastPart(db, { accountId, kind: 'ledger' });
  const [first, final] = [rows[0]!, rows.at(-1)!];
  const firstSeq = last === null ? 1 : Number(last.lastKey) + 1;
  // An entry that is missing in D1 would be missing in the archive for good.
  if (first.seq !== firstSeq || final.seq - first.seq !== rows.length - 1)
    throw new LoggableError(`the ledger in D1 lacks entries from ${firstSeq} to ${final.seq}`);
  const lines = rows.map(entryLine);
  const content = {
    ...{ kind: 'ledger' as const, accountId, part: (last?.seq ?? 0) + 1, previous: last?.hash ?? null },
    month: monthOf(first.atMs),
    openingBalanceNanoUsd: first.balanceNanoUsd - first.grantedNanoUsd - first.paidNanoUsd,
    rows: lines.map((value) => ({ ...ROW_OF.ledger(value as never), value })),
  };
  const entries = { firstSeq: first.seq, lastSeq: final.seq };
  return { ...formatPart(content, sha256), leaving: { requestIds: [], receipts: [], findings: [], entries } };
}
