/** Rate, token and concurrency limits of a whole account, which all its keys share. An operator sets them. */
import { type AccountLimits, findLimitedAccount, setAccountLimits } from '../db/account-limits.ts';
import { database } from '../db/client.ts';
import { isId } from '../domain/ids.ts';
import type { Env } from '../env.ts';

/** Bounds of each limit: wide enough for any customer, tight enough that a typing error cannot hand over the pool. */
export const LIMIT_BOUNDS = {
  requestsPerMinute: { min: 1, max: 1_000_000 },
  tokensPerMinute: { min: 1, max: 999_999_999 },
  concurrency: { min: 1, max: 100_000 },
} as const satisfies Record<keyof AccountLimits, { min: number; max: number }>;

/**
 * Changes the given limits and writes an audit entry. Every edge enforces them as soon as its cached copy of a key
 * is renewed, within ten seconds.
 * @param order.limits the limits to change; null lifts one, an absent one stays as it is
 * @returns all limits as they are now; null: there is no such account
 */
export async function changeAccountLimits(
  env: Env,
  order: { accountId: string; limits: Partial<AccountLimits>; actor: string; nowMs: number },
): Promise<AccountLimits | null> {
  const { accountId, limits, actor, nowMs } = order;
  const db = database(env);
  const before = isId('acct', accountId) ? await findLimitedAccount(db, accountId) : null;
  if (before === null) return null;
  const changes = Object.entries(limits) as [keyof AccountLimits, number | null][];
  const detail = Object.fromEntries(
    changes.map(([name, value]) => [name, `${before[name] ?? '–'} → ${value ?? '–'}`]),
  );
  const entry = { atMs: nowMs, actor, action: 'account.limited', subject: accountId, detail };
  if (!(await setAccountLimits(db, { accountId, limits, entry }))) return null;
  const { requestsPerMinute, tokensPerMinute, concurrency } = { ...before, ...limits };
  return { requestsPerMinute, tokensPerMinute, concurrency };
}
