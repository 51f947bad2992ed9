/** Ended requests, page by page and one by one: D1 keeps them for good, the Wallet forgets them after a day. */
import { and, desc, eq, gte, lt, lte, sql } from 'drizzle-orm';
import type { Ending } from '../domain/hold.ts';
import { firstIdAt } from '../domain/ids.ts';
import { nanoUsd } from '../domain/money.ts';
import type { RequestRecord } from '../domain/wallet.ts';
import type { Database } from './client.ts';
import { drift, nodeReceipt, price, usageEvent } from './schema.ts';

/** The request if it is the account's, else null. */
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
  if (!found) return null;
  const { event } = found;
  const { promptTokens, cachedTokens, completionTokens, reasoningTokens } = event;
  const { id, cacheHitNanoUsd, cacheMissNanoUsd, outputNanoUsd } = found.price;
  return {
    requestId,
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

/** Whose request it was; null: none that has ended has this id. Every account is asked, one look into the key each. */
export async function accountOfRequest(db: Database, requestId: string): Promise<string | null> {
  const row = await db.get<{ accountId: string } | undefined>(sql`
    select u.account_id as accountId from account as a
    cross join usage_event as u on u.account_id = a.id and u.request_id = ${requestId} limit 1`);
  return row?.accountId ?? null;
}

export type RequestRow = typeof usageEvent.$inferSelect;
export type ReceiptRow = typeof nodeReceipt.$inferSelect;

/** Requests that one ledger entry charged, as its reference names them; see domain/ledger.ts. */
export interface OfEntry {
  readonly seq: number;
  readonly first: string;
  readonly last: string;
}

export interface RequestFilter {
  readonly accountId: string;
  readonly fromMs: number;
  /** a place in the list: that request and all after it are behind */
  readonly before: string | null;
  readonly keyId: string | null;
  readonly modelId: string | null;
  readonly ending: Ending | null;
  /** null: whatever entry it was */
  readonly entry: OfEntry | null;
  readonly limit: number;
}

export interface RequestPage {
  /** newest first, by id */
  readonly rows: RequestRow[];
  /** `before` of the next page; null: no more */
  readonly next: string | null;
}

/** An id is as old as the edge that made it says, its admission as the Wallet says: their clocks may differ. */
const CLOCKS_MS = 3_600_000;

/** Ids of requests that were admitted in that time, and of some beside it: the exact time is asked of the rows. */
export function requestIdsIn({ fromMs, toMs }: { fromMs: number; toMs: number }) {
  return { first: firstIdAt('req', fromMs - CLOCKS_MS), end: firstIdAt('req', toMs + CLOCKS_MS) };
}

/**
 * Rows that a filter looks through at most. The key knows an account's requests by time alone: a filter that matches
 * few of ten million would read them all. A page that looked so far says where to go on instead.
 */
export const LOOKED_AT_MAX = 5_000;

/** A page of an account's ended requests. It may be short, or even empty, and still have a next one. */
export async function listRequests(
  db: Database,
  filter: RequestFilter,
  lookedAtMax = LOOKED_AT_MAX,
): Promise<RequestPage> {
  const { accountId, fromMs, before, keyId, modelId, ending, entry, limit } = filter;
  const { first } = requestIdsIn({ fromMs, toMs: fromMs });
  const within = and(
    eq(usageEvent.accountId, accountId),
    gte(usageEvent.requestId, entry === null ? first : entry.first),
    entry === null ? undefined : lte(usageEvent.requestId, entry.last),
    before === null ? undefined : lt(usageEvent.requestId, before),
  );
  const looked = db
    .select()
    .from(usageEvent)
    .where(within)
    .orderBy(desc(usageEvent.requestId))
    .limit(lookedAtMax)
    .as('looked');
  const [found, [edge]] = await db.batch([
    db
      .select()
      .from(looked)
      .where(
        and(
          gte(looked.admittedAtMs, fromMs),
          keyId === null ? undefined : eq(looked.keyId, keyId),
          modelId === null ? undefined : eq(looked.modelId, modelId),
          ending === null ? undefined : eq(looked.ending, ending),
          entry === null ? undefined : eq(looked.entrySeq, entry.seq),
        ),
      )
      .orderBy(desc(looked.requestId))
      .limit(limit + 1),
    db
      .select({ admittedAtMs: usageEvent.admittedAtMs, requestId: usageEvent.requestId })
      .from(usageEvent)
      .where(within)
      .orderBy(desc(usageEvent.requestId))
      .limit(1)
      .offset(lookedAtMax - 1),
  ]);
  const rows = found.slice(0, limit);
  if (found.length > limit) return { rows, next: rows.at(-1)!.requestId };
  return { rows, next: edge && edge.admittedAtMs >= fromMs ? edge.requestId : null };
}

/** What nodes said of a request of this account, as far as it is not what was billed. */
export function receiptsOf(
  db: Database,
  { accountId, requestId }: { accountId: string; requestId: string },
): Promise<ReceiptRow[]> {
  return db
    .select()
    .from(nodeReceipt)
    .where(and(eq(nodeReceipt.requestId, requestId), eq(nodeReceipt.accountId, accountId)));
}

/** Whether it is, or was, a finding that no node sent a receipt of the request. */
export async function wasMissed(db: Database, requestId: string): Promise<boolean> {
  const row = await db
    .select({ kind: drift.kind })
    .from(drift)
    .where(and(eq(drift.requestId, requestId), eq(drift.kind, 'receipt_missing')))
    .limit(1)
    .get();
  return row !== undefined;
}
