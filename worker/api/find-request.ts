/** One request of an account, from admission on: the Wallet knows it for a day, D1 for good. */
import { database } from '../db/client.ts';
import { findRequest } from '../db/requests.ts';
import { isId } from '../domain/ids.ts';
import type { NanoUsd } from '../domain/money.ts';
import type { RequestRecord } from '../domain/wallet.ts';
import type { Env } from '../env.ts';

export interface FoundRequest {
  readonly record: RequestRecord;
  /** of the charge: the same work had been paid before, under the same Idempotency-Key */
  readonly givenBackNanoUsd: NanoUsd;
}

/** @returns null for an id that is no request of this account, whosever else it may be */
export async function findAccountRequest(
  env: Env,
  { accountId, requestId }: { accountId: string; requestId: string },
): Promise<FoundRequest | null> {
  if (!isId('req', requestId)) return null;
  const wallet = env.WALLET.getByName(accountId);
  const record =
    (await wallet.request(requestId)) ?? (await findRequest(database(env), { accountId, requestId }));
  return record && { record, givenBackNanoUsd: await wallet.givenBack(requestId) };
}
