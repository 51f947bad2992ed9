/** Ended requests, page by page and one by one: D1 keeps them for good, the Wallet forgets them after a day. */
import { and, desc, eq, gte, sql } from 'drizzle-orm';
import type { Ending } from '../domain/hold.ts';
import { nanoUsd } from '../domain/money.ts';
import type { RequestRecord } from '../domain/wallet.ts';
import type { Database } from './client.ts';
import { nodeReceipt, price, usageEvent } from './schema.ts';

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

/** Whose request it was; null: none that has ended has this id. */
export async function accountOfRequest(db: Database, requestId: string): Promise<string | null> {
  const { accountId } = usageEvent;
  const row = await db
    .select({ accountId })
    .from(usageEvent)
    .where(eq(usageEvent.requestId, requestId))
    .get();
  return row?.accountId ?? null;
}

export type RequestRow = typeof usageEvent.$inferSelect;
export type ReceiptRow = typeof nodeReceipt.$inferSelect;

/** A place in the list: that request and all before it are behind. */
export interface RequestCursor {
  readonly admittedAtMs: number;
  readonly requestId: string;
}

export interface RequestFilter {
  readonly accountId: string;
  readonly fromMs: number;
  readonly before: RequestCursor | null;
  readonly keyId: string | null;
  readonly modelId: string | null;
  readonly ending: Ending | null;
  readonly limit: number;
}

export interface RequestPage {
  /** newest first */
  readonly rows: RequestRow[];
  /** where the next page begins; null: no more */
  readonly next: RequestCursor | null;
}

/**
 * Rows that a filter looks through at most. The index knows an account's requests by time alone: a filter that
 * matches few of ten million would read them all. A page that looked so far says where to go on instead.
 */
export const LOOKED_AT_MAX = 5_000;

/** A page of an account's ended requests. It may be short, or even empty, and still have a next one. */
export async function listRequests(
  db: Database,
  filter: RequestFilter,
  lookedAtMax = LOOKED_AT_MAX,
): Promise<RequestPage> {
  const { accountId, fromMs, before, keyId, modelId, ending, limit } = filter;
  const newestFirst = [desc(usageEvent.admittedAtMs), desc(usageEvent.requestId)];
  const within = and(
    eq(usageEvent.accountId, accountId),
    gte(usageEvent.admittedAtMs, fromMs),
    before === null
      ? undefined
      : sql`(${usageEvent.admittedAtMs}, ${usageEvent.requestId}) < (${before.admittedAtMs}, ${before.requestId})`,
  );
  const looked = db
    .select()
    .from(usageEvent)
    .where(within)
    .orderBy(...newestFirst)
    .limit(lookedAtMax)
    .as('looked');
  const [found, [edge]] = await db.batch([
    db
      .select()
      .from(looked)
      .where(
        and(
          keyId === null ? undefined : eq(looked.keyId, keyId),
          modelId === null ? undefined : eq(looked.modelId, modelId),
          ending === null ? undefined : eq(looked.ending, ending),
        ),
      )
      .orderBy(desc(looked.admittedAtMs), desc(looked.requestId))
      .limit(limit + 1),
    db
      .select({ admittedAtMs: usageEvent.admittedAtMs, requestId: usageEvent.requestId })
      .from(usageEvent)
      .where(within)
      .orderBy(...newestFirst)
      .limit(1)
      .offset(lookedAtMax - 1),
  ]);
  const rows = found.slice(0, limit);
  return { rows, next: found.length > limit ? rows.at(-1)! : (edge ?? null) };
}

/** What nodes said of a request of this account; none until a heartbeat has brought it. */
export function receiptsOf(
  db: Database,
  { accountId, requestId }: { accountId: string; requestId: string },
): Promise<ReceiptRow[]> {
  return db
    .select()
    .from(nodeReceipt)
    .where(and(eq(nodeReceipt.requestId, requestId), eq(nodeReceipt.accountId, accountId)));
}
