/** One request of an account: the Wallet knows it for a day, D1 for good; one of a busy key from its end on. */
import { database } from '../db/client.ts';
import { findRequest } from '../db/requests.ts';
import { isId, timeOfId } from '../domain/ids.ts';
import type { NanoUsd } from '../domain/money.ts';
import type { RequestRecord } from '../domain/wallet.ts';
import type { Env } from '../env.ts';

export interface FoundRequest {
  readonly record: RequestRecord;
  /** of the charge: the same work had been paid before, under the same Idempotency-Key */
  readonly givenBackNanoUsd: NanoUsd;
}

/** Of a busy key it is told in groups, well within this time of its end (gateway/leases.ts). */
const TOLD_WITHIN_MS = 600;
const LOOK_EVERY_MS = 200;
/** What began longer ago has long been told, or never was. */
const YOUNG_MS = 2 * 3_600_000;

/** @returns null for an id that is no request of this account, whosever else it may be */
export async function findAccountRequest(
  env: Env,
  { accountId, requestId }: { accountId: string; requestId: string },
): Promise<FoundRequest | null> {
  if (!isId('req', requestId)) return null;
  const wallet = env.WALLET.getByName(accountId);
  const isYoung = Math.abs(Date.now() - timeOfId(requestId)) < YOUNG_MS;
  let record: RequestRecord | null = await wallet.request(requestId);
  record ??= await findRequest(database(env), { accountId, requestId });
  for (let waitedMs = 0; record === null && isYoung && waitedMs < TOLD_WITHIN_MS; waitedMs += LOOK_EVERY_MS) {
    await scheduler.wait(LOOK_EVERY_MS);
    record = await wallet.request(requestId);
  }
  return record && { record, givenBackNanoUsd: await wallet.givenBack(requestId) };
}
