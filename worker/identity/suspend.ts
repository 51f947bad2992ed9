/** Stops an account and lets it go on. Streams that run end as they would; whatever its keys ask anew is refused. */
import { findLimitedAccount, setSuspended } from '../db/account-limits.ts';
import { database } from '../db/client.ts';
import { isId } from '../domain/ids.ts';
import type { Env } from '../env.ts';

/**
 * Every edge keeps to it as soon as what it knows of a key is renewed, within ten seconds. What is so already stays as
 * it is and leaves no trace.
 * @returns null when there is no such account
 */
export async function suspendAccount(
  env: Env,
  order: { accountId: string; suspended: boolean; actor: string; nowMs: number },
): Promise<{ suspendedAtMs: number | null } | null> {
  const { accountId, suspended, actor, nowMs } = order;
  const db = database(env);
  if (!isId('acct', accountId)) return null;
  const action = suspended ? 'account.suspended' : 'account.resumed';
  await setSuspended(db, {
    accountId,
    suspendedAtMs: suspended ? nowMs : null,
    entry: { atMs: nowMs, actor, action, subject: accountId, detail: {}, accountId },
  });
  const account = await findLimitedAccount(db, accountId);
  return account && { suspendedAtMs: account.suspendedAtMs };
}
