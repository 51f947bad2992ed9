/** Top-ups through Stripe's Checkout, begun or paid. */
import { expect } from 'vitest';
import { beginTopUp } from '../../../worker/billing/top-up.ts';
import { usd } from '../../../worker/domain/money.ts';
import { newAccount } from './fixtures.ts';
import { send, withStripe } from './stripe-fixtures.ts';
import { stripe } from './stripe-fresh.ts';
import type { Payment } from './stripe-state.ts';

export const COMPLETED = 'checkout.session.completed';

export interface BegunOrder {
  readonly accountId: string;
  readonly orderId: string;
}

export async function beginOrder(dollars = 20): Promise<BegunOrder> {
  const accountId = await newAccount();
  const nowMs = Date.now();
  const result = await beginTopUp(withStripe, { accountId, amountNanoUsd: usd(dollars), nowMs });
  if (!result.ok) throw new Error(result.reason);
  return { accountId, orderId: String(stripe.sessions.at(-1)!.client_reference_id) };
}

/** A top-up of $20 that was begun, paid with tax on top, and credited. */
export async function creditedOrder(taxCents = 0): Promise<BegunOrder & { payment: Payment }> {
  const order = await beginOrder();
  const payment = stripe.pay({}, taxCents);
  expect(await send(COMPLETED, payment.session)).toEqual([200, 'credited']);
  return { ...order, payment };
}
