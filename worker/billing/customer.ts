/** An account as its provider's customer: made once, when it first goes to one of the provider's pages. */
import { findAutoRecharge, keepCustomer } from '../db/auto-recharge.ts';
import { database } from '../db/client.ts';
import type { Env } from '../env.ts';
import type { PaymentProvider } from './provider.ts';

/** @throws ProviderError when the provider does not answer */
export async function customerOf(
  env: Env,
  provider: PaymentProvider,
  { accountId, nowMs }: { accountId: string; nowMs: number },
): Promise<string> {
  const db = database(env);
  const known = await refOf(env, provider, accountId);
  if (known !== null) return known;
  const customerRef = await provider.newCustomer(accountId);
  await keepCustomer(db, { accountId, provider: provider.name, customerRef, nowMs });
  // the first one that was kept, should two have been made
  const kept = await refOf(env, provider, accountId);
  if (kept === null) throw new Error(`account ${accountId} has no customer`);
  return kept;
}

async function refOf(env: Env, provider: PaymentProvider, accountId: string): Promise<string | null> {
  const row = await findAutoRecharge(database(env), accountId);
  return row?.provider === provider.name ? row.customerRef : null;
}
