/**
 * Suspends and resumes an account. Running streams go on to their end; new requests of its keys are refused, as are forms
 * of the portal and invitations. Its cards are not charged and its webhooks not called meanwhile.
 */
import { findLimitedAccount, setSuspended } from '../db/account-limits.ts';
import { database } from '../db/client.ts';
import { isId } from '../domain/ids.ts';
import type { Env } from '../env.ts';

/**
 * Sets whether the account is suspended. Every edge enforces it as soon as its cached copy of a key is renewed,
 * within ten seconds. An order that changes nothing leaves no audit entry.
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
