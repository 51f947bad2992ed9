/** The requests that ledger entries charged, wherever they are, for the ledger audit. */
import type { DueRequest } from '../db/archive.ts';
import { type PartRow, partsBetween } from '../db/archive-parts.ts';
import { database } from '../db/client.ts';
import { findChargedRequests } from '../db/ledger-audit.ts';
import { listPrices } from '../db/prices.ts';
import { idAfter } from '../domain/ids.ts';
import type { ChargedRequest } from '../domain/ledger-audit.ts';
import type { Env } from '../env.ts';
import type { SeqRange } from './ledger.ts';
import { nothingIfUnreadable, readRequests } from './lines.ts';

/** Parts of one page of the audit: a hundred entries charge at most as many thousands of requests. */
const PARTS_MAX = 100;

/** @param ids the first and the last of the requests that the entries refer to */
export async function chargedRequestsOf(
  env: Env,
  range: SeqRange,
  ids: { first: string; last: string },
): Promise<ChargedRequest[]> {
  const db = database(env);
  const found = new Map<string, ChargedRequest>();
  // D1 before the manifest: a request that moves in between is found twice, and never missed.
  for (const request of await findChargedRequests(db, range, ids)) found.set(request.requestId, request);
  const between = {
    accountId: range.accountId,
    first: ids.first,
    before: idAfter(ids.last),
    limit: PARTS_MAX,
  };
  const parts = await partsBetween(db, between);
  if (parts.length > 0)
    for (const request of await inParts(env, range, parts)) found.set(request.requestId, request);
  return [...found.values()];
}

async function inParts(env: Env, range: SeqRange, parts: readonly PartRow[]): Promise<ChargedRequest[]> {
  const prices = new Map((await listPrices(database(env))).map((price) => [price.id, price]));
  const found: ChargedRequest[] = [];
  for (const part of parts) {
    for (const { event } of await readRequests(env, part).catch(nothingIfUnreadable<DueRequest>)) {
      const { requestId, entrySeq, chargeNanoUsd, promptTokens, cachedTokens } = event;
      const price = prices.get(event.priceId);
      if (entrySeq === null || entrySeq <= range.afterSeq || entrySeq > range.toSeq || !price) continue;
      const { completionTokens, reasoningTokens } = event;
      const usage = { promptTokens, cachedTokens, completionTokens, reasoningTokens };
      found.push({ requestId, entrySeq, usage, price, chargeNanoUsd });
    }
  }
  return found;
}
