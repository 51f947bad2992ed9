/** Erases a closed account from all stores: its stored responses, then its rows in D1. Repeating it is safe. */
import { database } from '../db/client.ts';
import { eraseAccount } from '../db/erase-account.ts';
import type { Env } from '../env.ts';

export async function eraseClosedAccount(env: Env, accountId: string): Promise<void> {
  // First, because the account counts as erased once its rows are.
  await env.RESPONSES.getByName(accountId).erase();
  await eraseAccount(database(env), accountId);
}
