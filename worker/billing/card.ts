/** The saved card: typed on the provider's page, kept by its event (card-saved.ts), forgotten when its owner says so. */
import { dropCard, findAutoRecharge } from '../db/auto-recharge.ts';
import { database } from '../db/client.ts';
import type { Env } from '../env.ts';
import { describeError } from '../lib/describe-error.ts';
import { customerOf } from './customer.ts';
import { ProviderError } from './provider.ts';
import { providerNamed, topUpProvider } from './providers.ts';
import { syncRechargeWatch } from './recharge/watch.ts';

interface Request {
  readonly accountId: string;
  readonly nowMs: number;
}

/** @throws Error when no provider is configured: see `canTopUp` */
export async function beginCardSetup(
  env: Env,
  request: Request,
): Promise<{ ok: true; redirectUrl: string } | { ok: false; reason: 'provider_unavailable' }> {
  const provider = topUpProvider(env);
  if (provider === null) throw new Error('beginCardSetup: no payment provider is configured');
  const { accountId } = request;
  try {
    const customerRef = await customerOf(env, provider, request);
    return { ok: true, ...(await provider.beginCardSetup({ accountId, customerRef })) };
  } catch (error) {
    return unavailable('card_setup_failed', accountId, error);
  }
}

/** The provider forgets it first: what it no longer has, nobody can charge. */
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
      return unavailable('card_removal_failed', accountId, error);
    }
    await dropCard(db, { accountId, methodRef: row.methodRef, nowMs });
  }
  await syncRechargeWatch(env, accountId);
  return { ok: true };
}

function unavailable(event: string, accountId: string, error: unknown) {
  if (!(error instanceof ProviderError)) throw error;
  console.error(JSON.stringify({ event, accountId, error: describeError(error) }));
  return { ok: false, reason: error.code } as const;
}
