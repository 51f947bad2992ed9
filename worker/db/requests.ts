/** Ended requests that the Wallet has forgotten: D1 keeps them for good. */
import { and, eq } from 'drizzle-orm';
import { nanoUsd } from '../domain/money.ts';
import type { RequestRecord } from '../domain/wallet.ts';
import type { Database } from './client.ts';
import { price, usageEvent } from './schema.ts';

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
