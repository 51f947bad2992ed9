/**
 * Finds one request of an account. Its Wallet knows a request for a day, D1 for months, and the archive for good. A
 * request of a busy key runs under a lease, so none of them knows it before its isolate has reported its end.
 */
import { findArchivedRequest } from '../archive/requests.ts';
import type { DueRequest } from '../db/archive.ts';
import { database } from '../db/client.ts';
import { projectedEntry } from '../db/ledger-audit.ts';
import { findPrice } from '../db/prices.ts';
import { findRequest, requestRecord } from '../db/requests.ts';
import { isId, timeOfId } from '../domain/ids.ts';
import { type NanoUsd, nanoUsd } from '../domain/money.ts';
import type { RequestRecord } from '../domain/wallet.ts';
import { config, type Env } from '../env.ts';

export interface FoundRequest {
  readonly record: RequestRecord;
  /** Part of the charge that was credited back: an earlier run under the same Idempotency-Key had paid for it. */
  readonly creditedBackNanoUsd: NanoUsd;
  /** The request with its receipts as the archive has it; null: it is not archived. */
  readonly archived: DueRequest | null;
}

/** Isolates report ends in groups, well within this time of the end (worker/gateway/lease/lease.ts). */
const REPORTED_WITHIN_MS = 600;
const RETRY_EVERY_MS = 200;
/** A request that began longer ago has been reported long since, or never will be, so it is not waited for. */
const YOUNG_MS = 2 * 3_600_000;

/** @returns null for an id that is no request of this account, even if it is one of another account */
export async function findAccountRequest(
  env: Env,
  { accountId, requestId }: { accountId: string; requestId: string },
): Promise<FoundRequest | null> {
  if (!isId('req', requestId)) return null;
  const wallet = env.WALLET.getByName(accountId);
  const isYoung = Math.abs(Date.now() - timeOfId(requestId)) < YOUNG_MS;
  let record: RequestRecord | null = await wallet.request(requestId);
  record ??= await findRequest(database(env), { accountId, requestId });
  for (
    let waitedMs = 0;
    record === null && isYoung && waitedMs < REPORTED_WITHIN_MS;
    waitedMs += RETRY_EVERY_MS
  ) {
    await scheduler.wait(RETRY_EVERY_MS);
    record = await wallet.request(requestId);
  }
  const archived =
    record === null && !isYoung ? await findArchivedRequest(env, { accountId, requestId }) : null;
  record ??= archived && (await recordOf(env, archived));
  return (
    record && { record, creditedBackNanoUsd: await creditedBack(env, { accountId, requestId }), archived }
  );
}

async function recordOf(env: Env, { event }: DueRequest): Promise<RequestRecord | null> {
  const price = await findPrice(database(env), event.priceId);
  return price && requestRecord(event, price);
}

/** The Wallet has the correction until it is folded, D1 for good. Requests with no key for repeats have none. */
async function creditedBack(
  env: Env,
  { accountId, requestId }: { accountId: string; requestId: string },
): Promise<NanoUsd> {
  const atWallet = await env.WALLET.getByName(accountId).creditedBack(requestId);
  const isFolded = Date.now() - timeOfId(requestId) > config(env).ledgerFoldAfterMs;
  if (atWallet !== 0 || !isFolded) return atWallet;
  const which = { accountId, kind: 'correction', reference: requestId } as const;
  const entry = await projectedEntry(database(env), which);
  return nanoUsd(entry === null ? 0 : entry.grantedNanoUsd + entry.paidNanoUsd);
}
