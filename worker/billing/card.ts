/** The saved card: typed on the provider's page, stored by its event (card-saved.ts), removed when its owner asks. */
import { dropCard, findAutoRecharge } from '../db/auto-recharge.ts';
import { database } from '../db/client.ts';
import type { Env } from '../env.ts';
import { describeError } from '../lib/describe-error.ts';
import { ensureCustomer } from './customer.ts';
import { ProviderError } from './provider.ts';
import { providerNamed, topUpProvider } from './providers.ts';
import { syncRechargeThreshold } from './recharge/threshold.ts';

interface Request {
  readonly accountId: string;
  readonly nowMs: number;
}

/**
 * Begins saving a card: the customer is sent to the provider's page.
 * @throws Error when no provider is configured: see `canTopUp`
 */
export async function beginCardSetup(
  env: Env,
  request: Request,
): Promise<{ ok: true; redirectUrl: string } | { ok: false; reason: 'provider_unavailable' }> {
  const provider = topUpProvider(env);
  if (provider === null) throw new Error('beginCardSetup: no payment provider is configured');
  const { accountId } = request;
  try {
    const customerRef = await ensureCustomer(env, provider, request);
    return { ok: true, ...(await provider.beginCardSetup({ accountId, customerRef })) };
  } catch (error) {
    return providerUnavailable('card_setup_failed', accountId, error);
  }
}

/** Removes the saved card. The provider forgets it first: a card that the provider no longer has cannot be charged. */
export async function removeCard(
  env: Env,
  { accountId, nowMs }: Request,
): Promise<{ ok: true } | { ok: false; reason: 'provider_unavailable' }> {
  const db = database(env);
  const row = await findAutoRecharge(db, accountId);
  if (row?.methodRef) {
    try {
      await providerNamed(env, row.provider)?.forgetCard(row.methodRef);
    } catch (error) {
      return providerUnavailable('card_removal_failed', accountId, error);
    }
    await dropCard(db, { accountId, methodRef: row.methodRef, nowMs });
  }
  await syncRechargeThreshold(env, accountId);
  return { ok: true };
}

function providerUnavailable(event: string, accountId: string, error: unknown) {
  if (!(error instanceof ProviderError)) throw error;
  console.error(JSON.stringify({ event, accountId, error: describeError(error) }));
  return { ok: false, reason: error.code } as const;
}
