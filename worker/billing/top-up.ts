/** A top-up begins: an order is written, then the customer is sent to the provider's page. No credit comes from here. */
import { database } from '../db/client.ts';
import { addOrder } from '../db/payments.ts';
import { describeError } from '../describe-error.ts';
import { newId } from '../domain/ids.ts';
import { type NanoUsd, nanoUsd, usd } from '../domain/money.ts';
import { type Config, config, type Env } from '../env.ts';
import { NANO_PER_CENT } from './provider.ts';
import { topUpProvider } from './providers.ts';
import { StripeCallError } from './stripe-call-error.ts';

/** Below this a card's fixed fee eats the payment. */
export const TOP_UP_MIN = usd(5);
/** Above this a stolen card or a slip of the keyboard costs too much; larger sums are invoiced. */
export const TOP_UP_MAX = usd(5_000);
export const CURRENCY = 'USD';

export type TopUpResult =
  | { ok: true; redirectUrl: string }
  | { ok: false; reason: 'amount_out_of_bounds'; minNanoUsd: NanoUsd; maxNanoUsd: NanoUsd }
  /** the payment provider did not answer or refused: trying again can help */
  | { ok: false; reason: 'provider_unavailable' };

/** Whether there is anybody to pay through: a page asks before it offers the form. */
export function canTopUp(settings: Config): boolean {
  return topUpProvider(settings) !== null;
}

/**
 * @param request.amountNanoUsd $5 to $5,000 in whole cents; anything else is refused with the bounds
 * @throws Error when no provider is configured: see `canTopUp`
 */
export async function beginTopUp(
  env: Env,
  { accountId, amountNanoUsd, nowMs }: { accountId: string; amountNanoUsd: number; nowMs: number },
): Promise<TopUpResult> {
  if (!isPayable(amountNanoUsd)) {
    return { ok: false, reason: 'amount_out_of_bounds', minNanoUsd: TOP_UP_MIN, maxNanoUsd: TOP_UP_MAX };
  }
  const provider = topUpProvider(config(env));
  if (provider === null) throw new Error('beginTopUp: no payment provider is configured');
  const order = {
    orderId: newId('order', nowMs),
    amountNanoUsd: nanoUsd(amountNanoUsd),
    currency: CURRENCY,
  };
  // The order first: an event about an order that is not there yet would be refused for good.
  await addOrder(database(env), {
    id: order.orderId,
    accountId,
    provider: provider.name,
    amountNanoUsd: order.amountNanoUsd,
    currency: order.currency,
    kind: 'checkout',
    invoiceUrl: null,
    createdAtMs: nowMs,
  });
  try {
    return { ok: true, ...(await provider.beginCheckout(order)) };
  } catch (error) {
    if (!(error instanceof StripeCallError)) throw error;
    console.error(
      JSON.stringify({ event: 'checkout_failed', order: order.orderId, error: describeError(error) }),
    );
    return { ok: false, reason: error.code };
  }
}

function isPayable(amountNanoUsd: number): boolean {
  return (
    Number.isSafeInteger(amountNanoUsd) &&
    amountNanoUsd % NANO_PER_CENT === 0 &&
    amountNanoUsd >= TOP_UP_MIN &&
    amountNanoUsd <= TOP_UP_MAX
  );
}
