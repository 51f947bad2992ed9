/**
 * Ended requests that D1 has, in pages and one by one. Older ones are in the archive, and worker/archive reads both; the
 * Wallet forgets requests after a day.
 */
import { and, asc, desc, eq, gt, gte, lt, lte, sql } from 'drizzle-orm';
import type { Ending } from '../domain/hold.ts';
import { firstIdAt, idAfter } from '../domain/ids.ts';
import { nanoUsd } from '../domain/money.ts';
import type { RequestRecord } from '../domain/wallet.ts';
import { type PartRow, partsBetween } from './archive-parts.ts';
import type { Database } from './client.ts';
import { drift, nodeReceipt, price, usageEvent } from './schema.ts';

/** Finds an ended request of the account; null when there is none. */
export async function findRequest(
  db: Database,
  { accountId, requestId }: { accountId: string; requestId: string },
): Promise<RequestRecord | null> {
  const found = await db
    .select({ event: usageEvent, price })
    .from(usageEvent)
    .innerJoin(price, eq(price.id, usageEvent.priceId))
    .where(and(eq(usageEvent.requestId, requestId), eq(usageEvent.accountId, accountId)))
    .get();
  return found ? requestRecord(found.event, found.price) : null;
}

export function requestRecord(event: RequestRow, dated: typeof price.$inferSelect): RequestRecord {
  const { promptTokens, cachedTokens, completionTokens, reasoningTokens } = event;
  const { id, cacheHitNanoUsd, cacheMissNanoUsd, outputNanoUsd } = dated;
  return {
    requestId: event.requestId,
    keyId: event.keyId,
    modelId: event.modelId,
    stream: event.stream,
    state: event.state,
    ending: event.ending,
    nodeId: event.nodeId,
    admittedAtMs: event.admittedAtMs,
    endedAtMs: event.endedAtMs,
    heldNanoUsd: nanoUsd(0),
    price: { id, cacheHitNanoUsd, cacheMissNanoUsd, outputNanoUsd },
    usage: { promptTokens, cachedTokens, completionTokens, reasoningTokens },
    chargeNanoUsd: nanoUsd(event.chargeNanoUsd),
    entrySeq: event.entrySeq,
    ttftMs: event.ttftMs,
  };
}

/**
 * Finds the account of an ended request; null: no ended request has this id. The primary key begins with the account,
 * so every account is checked, with one key lookup each.
 */
export async function accountOfRequest(db: Database, requestId: string): Promise<string | null> {
  const row = await db.get<{ accountId: string } | undefined>(sql`
    select u.account_id as accountId from account as a
    cross join usage_event as u on u.account_id = a.id and u.request_id = ${requestId} limit 1`);
  return row?.accountId ?? null;
}

export type RequestRow = typeof usageEvent.$inferSelect;
export type ReceiptRow = typeof nodeReceipt.$inferSelect;

/** Requests that one ledger entry charged, as its reference names them; see domain/ledger.ts. */
export interface EntryRequests {
  readonly seq: number;
  readonly first: string;
  readonly last: string;
}

export interface RequestFilter {
  readonly accountId: string;
  readonly fromMs: number;
  /** Cursor: only requests after this id in the list (older ones) are returned. */
  readonly before: string | null;
  readonly keyId: string | null;
  readonly modelId: string | null;
  readonly ending: Ending | null;
  /** null: requests of any entry. */
  readonly entry: EntryRequests | null;
  readonly limit: number;
}

export interface RequestPage {
  /** Newest first, by id. */
  readonly rows: RequestRow[];
  /** `before` of the next page; null: no more. */
  readonly next: string | null;
}

/** A page of what D1 has, and the parts of the archive that hold requests of the same range, the newest first. */
export interface HotPage extends RequestPage {
  /** The least id in the range. */
  readonly first: string;
  /** At most PARTS_A_PAGE. */
  readonly parts: readonly PartRow[];
}

/** Parts of one page of requests, most of which are read in vain when a filter matches few. */
export const PARTS_A_PAGE = 12;
/** Later than any request. */
const END_OF_TIME = firstIdAt('req', Date.UTC(9999, 0));

/** An id carries the edge's time, an admission the Wallet's: their clocks may differ by up to an hour. */
const CLOCK_SKEW_MAX_MS = 3_600_000;

/**
 * The id range of requests admitted in that time, widened by the clock skew: callers check the exact time on the
 * rows.
 */
export function requestIdsIn({ fromMs, toMs }: { fromMs: number; toMs: number }) {
  return {
    first: firstIdAt('req', fromMs - CLOCK_SKEW_MAX_MS),
    end: firstIdAt('req', toMs + CLOCK_SKEW_MAX_MS),
  };
}

/**
 * Rows that one page scans at most. The primary key orders an account's requests by time alone, so a filter that
 * matches few of ten million would read them all. A page that stops at this limit returns a cursor to go on from.
 */
export const ROWS_SCANNED_MAX = 5_000;

/** A page of an account's ended requests. It may be short, or even empty, and still have a next one. */
export async function listRequests(
  db: Database,
  filter: RequestFilter,
  scannedMax = ROWS_SCANNED_MAX,
): Promise<HotPage> {
  const { accountId, fromMs, before, keyId, modelId, ending, entry, limit } = filter;
  const first = entry === null ? requestIdsIn({ fromMs, toMs: fromMs }).first : entry.first;
  const within = and(
    eq(usageEvent.accountId, accountId),
    gte(usageEvent.requestId, first),
    entry === null ? undefined : lte(usageEvent.requestId, entry.last),
    before === null ? undefined : lt(usageEvent.requestId, before),
  );
  const scanned = db
    .select()
    .from(usageEvent)
    .where(within)
    .orderBy(desc(usageEvent.requestId))
    .limit(scannedMax)
    .as('scanned');
  const end = before ?? (entry === null ? END_OF_TIME : idAfter(entry.last));
  const [found, [lastScanned], parts] = await db.batch([
    db
      .select()
      .from(scanned)
      .where(
        and(
          gte(scanned.admittedAtMs, fromMs),
          keyId === null ? undefined : eq(scanned.keyId, keyId),
          modelId === null ? undefined : eq(scanned.modelId, modelId),
          ending === null ? undefined : eq(scanned.ending, ending),
          entry === null ? undefined : eq(scanned.entrySeq, entry.seq),
        ),
      )
      .orderBy(desc(scanned.requestId))
      .limit(limit + 1),
    db
      .select({ admittedAtMs: usageEvent.admittedAtMs, requestId: usageEvent.requestId })
      .from(usageEvent)
      .where(within)
      .orderBy(desc(usageEvent.requestId))
      .limit(1)
      .offset(scannedMax - 1),
    partsBetween(db, { accountId, first, before: end, limit: PARTS_A_PAGE }),
  ]);
  const rows = found.slice(0, limit);
  const isMore = lastScanned && lastScanned.admittedAtMs >= fromMs;
  const next = found.length > limit ? rows.at(-1)!.requestId : isMore ? lastScanned.requestId : null;
  return { rows, next, first, parts };
}

/** The query for the requests that D1 has of an account after an id, oldest first. */
export function requestsAfter(db: Database, which: { accountId: string; after: string; limit: number }) {
  return db
    .select()
    .from(usageEvent)
    .where(and(eq(usageEvent.accountId, which.accountId), gt(usageEvent.requestId, which.after)))
    .orderBy(asc(usageEvent.requestId))
    .limit(which.limit);
}

/** Receipts of a request of this account that differ from what was billed; matching ones have no row. */
export function receiptsOf(
  db: Database,
  { accountId, requestId }: { accountId: string; requestId: string },
): Promise<ReceiptRow[]> {
  return db
    .select()
    .from(nodeReceipt)
    .where(and(eq(nodeReceipt.requestId, requestId), eq(nodeReceipt.accountId, accountId)));
}

/** Whether a missing receipt of the request is, or was, a finding. */
export async function wasReceiptReportedMissing(db: Database, requestId: string): Promise<boolean> {
  const row = await db
    .select({ kind: drift.kind })
    .from(drift)
    .where(and(eq(drift.requestId, requestId), eq(drift.kind, 'receipt_missing')))
    .limit(1)
    .get();
  return row !== undefined;
}
