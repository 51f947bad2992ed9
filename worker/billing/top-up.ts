/** Begins a top-up: stores an order, then sends the customer to the provider's page. No credit comes from here. */
import { database } from '../db/client.ts';
import { addOrder } from '../db/payments.ts';
import { newId } from '../domain/ids.ts';
import { type NanoUsd, nanoUsd } from '../domain/money.ts';
import type { Env } from '../env.ts';
import { describeError } from '../lib/describe-error.ts';
import { ensureCustomer } from './customer.ts';
import { CURRENCY, isPayable, TOP_UP_MAX, TOP_UP_MIN } from './payable.ts';
import { ProviderError } from './provider.ts';
import { topUpProvider } from './providers.ts';

export type TopUpResult =
  | { ok: true; redirectUrl: string }
  | { ok: false; reason: 'amount_out_of_bounds'; minNanoUsd: NanoUsd; maxNanoUsd: NanoUsd }
  /** The payment provider did not answer or refused; a retry may succeed. */
  | { ok: false; reason: 'provider_unavailable' };

/** Whether a payment provider is configured: a page checks this before it offers the form. */
export function canTopUp(env: Env): boolean {
  return topUpProvider(env) !== null;
}

/**
 * @param request.amountNanoUsd $5 to $5,000 in whole cents; anything else is refused with the bounds
 * @param request.purchaseOrder the customer's own number for it, printed on the invoice
 * @throws Error when no provider is configured: see `canTopUp`
 */
export async function beginTopUp(
  env: Env,
  request: { accountId: string; amountNanoUsd: number; purchaseOrder?: string | null; nowMs: number },
): Promise<TopUpResult> {
  const { accountId, amountNanoUsd, purchaseOrder = null, nowMs } = request;
  if (!isPayable(amountNanoUsd)) {
    return { ok: false, reason: 'amount_out_of_bounds', minNanoUsd: TOP_UP_MIN, maxNanoUsd: TOP_UP_MAX };
  }
  const provider = topUpProvider(env);
  if (provider === null) throw new Error('beginTopUp: no payment provider is configured');
  const order = {
    orderId: newId('order', nowMs),
    amountNanoUsd: nanoUsd(amountNanoUsd),
    currency: CURRENCY,
  };
  // The order is stored first: an event about an unknown order would be refused for good.
  await addOrder(database(env), {
    id: order.orderId,
    accountId,
    provider: provider.name,
    kind: 'checkout',
    amountNanoUsd: order.amountNanoUsd,
    currency: order.currency,
    createdAtMs: nowMs,
    invoiceUrl: null,
    purchaseOrder,
  });
  try {
    const customerRef = await ensureCustomer(env, provider, request);
    return { ok: true, ...(await provider.beginCheckout({ ...order, customerRef, purchaseOrder })) };
  } catch (error) {
    if (!(error instanceof ProviderError)) throw error;
    console.error(
      JSON.stringify({ event: 'checkout_failed', order: order.orderId, error: describeError(error) }),
    );
    return { ok: false, reason: error.code };
  }
}
