/** An account as its provider's customer, created once, when the account first goes to one of the provider's pages. */
import { findAutoRecharge, saveCustomer } from '../db/auto-recharge.ts';
import { database } from '../db/client.ts';
import type { Env } from '../env.ts';
import { LoggableError } from '../lib/describe-error.ts';
import type { PaymentProvider } from './provider.ts';

/**
 * The provider's id of the account as a customer; it is created when there is none.
 * @throws ProviderError when the provider does not answer
 */
export async function ensureCustomer(
  env: Env,
  provider: PaymentProvider,
  { accountId, nowMs }: { accountId: string; nowMs: number },
): Promise<string> {
  const db = database(env);
  const known = await storedCustomerRef(env, provider, accountId);
  if (known !== null) return known;
  const customerRef = await provider.newCustomer(accountId);
  await saveCustomer(db, { accountId, provider: provider.name, customerRef, nowMs });
  // Two calls at once may each create a customer; the first one stored is used.
  const kept = await storedCustomerRef(env, provider, accountId);
  if (kept === null) throw new LoggableError(`account ${accountId} has no customer`);
  return kept;
}

async function storedCustomerRef(
  env: Env,
  provider: PaymentProvider,
  accountId: string,
): Promise<string | null> {
  const row = await findAutoRecharge(database(env), accountId);
  return row?.provider === provider.name ? row.customerRef : null;
}
