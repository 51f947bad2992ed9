/** Everything an account has, as objects with the name of their table: D1's rows and those of the archive, each once. */
import { exportTables } from '../db/account-end.ts';
import { type PartRow, partsAfter } from '../db/archive-parts.ts';
import { database } from '../db/client.ts';
import { entriesOf } from '../db/ledger-audit.ts';
import { requestsAfter } from '../db/requests.ts';
import type { Env } from '../env.ts';
import { readEntries, readRequests } from './lines.ts';

type Exported = Record<string, unknown>;

/** Rows that one query reads, and parts that one query lists: an export is streamed and never held in memory whole. */
const ROWS_A_PAGE = 1_000;
const PARTS_A_PAGE = 50;

export async function* exportAccount(env: Env, accountId: string): AsyncGenerator<Exported> {
  yield* exportTables(database(env), accountId);
  yield* exportLedger(env, accountId);
  yield* exportRequests(env, accountId);
}

/**
 * While an export runs, rows may move from D1 to the archive. So each page of D1's rows is read in one transaction with
 * the parts that are new since the page before: of those, the rows after that page have not been exported yet.
 */
async function* exportRequests(env: Env, accountId: string): AsyncGenerator<Exported> {
  const db = database(env);
  for (let after = '', afterSeq = 0; ; ) {
    const [parts, rows] = await db.batch([
      partsAfter(db, { accountId, kind: 'requests', afterSeq, limit: PARTS_A_PAGE }),
      requestsAfter(db, { accountId, after, limit: ROWS_A_PAGE }),
    ]);
    for (const part of parts) {
      for (const { event, receipts, findings } of await readRequests(env, part))
        if (event.requestId > after)
          yield { table: 'request', ...event, ...nonEmpty({ receipts, findings }) };
    }
    afterSeq = lastSeq(parts) ?? afterSeq;
    if (parts.length === PARTS_A_PAGE) continue;
    for (const row of rows) yield { table: 'request', ...row };
    if (rows.length < ROWS_A_PAGE) return;
    after = rows.at(-1)!.requestId;
  }
}

async function* exportLedger(env: Env, accountId: string): AsyncGenerator<Exported> {
  const db = database(env);
  for (let after = 0, afterSeq = 0; ; ) {
    const [parts, rows] = await db.batch([
      partsAfter(db, { accountId, kind: 'ledger', afterSeq, limit: PARTS_A_PAGE }),
      entriesOf(db, { accountId, afterSeq: after, toSeq: Number.MAX_SAFE_INTEGER }).limit(ROWS_A_PAGE),
    ]);
    for (const part of parts) {
      for (const row of await readEntries(env, part))
        if (row.seq > after) yield { table: 'ledger_entry', ...row };
      after = Math.max(after, Number(part.lastKey));
    }
    afterSeq = lastSeq(parts) ?? afterSeq;
    if (parts.length > 0) continue;
    for (const row of rows) yield { table: 'ledger_entry', ...row };
    if (rows.length < ROWS_A_PAGE) return;
    after = rows.at(-1)!.seq;
  }
}

function lastSeq(parts: readonly PartRow[]): number | null {
  return parts.at(-1)?.seq ?? null;
}

function nonEmpty(lists: Record<string, readonly unknown[]>): Exported {
  return Object.fromEntries(Object.entries(lists).filter(([, list]) => list.length > 0));
}
