/**
 * Finds one request of an account. Its Wallet knows a request for a day and D1 knows it for good. A request of a busy
 * key runs under a lease, so both know it only once its isolate has reported its end.
 */
import { database } from '../db/client.ts';
import { projectedEntry } from '../db/ledger-audit.ts';
import { findRequest } from '../db/requests.ts';
import { isId, timeOfId } from '../domain/ids.ts';
import { type NanoUsd, nanoUsd } from '../domain/money.ts';
import type { RequestRecord } from '../domain/wallet.ts';
import { config, type Env } from '../env.ts';

export interface FoundRequest {
  readonly record: RequestRecord;
  /** Part of the charge that was credited back: an earlier run under the same Idempotency-Key had paid for it. */
  readonly creditedBackNanoUsd: NanoUsd;
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
  return record && { record, creditedBackNanoUsd: await creditedBack(env, { accountId, requestId }) };
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
