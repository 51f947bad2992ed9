/** Refunds and disputes of a payment, as Stripe's events carry them. */
import { usd } from '../../../worker/domain/money.ts';
import { env } from './fixtures.ts';
import { CARD, newStripeId, type Payment, type StripeObject } from './stripe-state.ts';

/** A charge and its payment intent. */
export type Charged = Pick<Payment, 'charge' | 'intent'>;

/** The charge after refunds of `cents` in total. */
export function refunded({ charge }: Charged, cents: number): StripeObject {
  return { ...charge, amount_refunded: cents, refunded: cents === charge.amount };
}

export function refund({ charge, intent }: Charged, cents: number, status: string): StripeObject {
  const { id, currency } = charge;
  return {
    id: newStripeId('re'),
    object: 'refund',
    amount: cents,
    currency,
    charge: id,
    payment_intent: intent.id,
    status,
    metadata: {},
  };
}

export function dispute({ charge, intent }: Charged, change: Record<string, unknown> = {}): StripeObject {
  const { id: charged, amount, currency } = charge;
  return {
    id: newStripeId('du'),
    object: 'dispute',
    amount,
    currency,
    charge: charged,
    payment_intent: intent.id,
    reason: 'fraudulent',
    status: 'needs_response',
    evidence: { customer_name: CARD.name, customer_email_address: CARD.email },
    metadata: {},
    ...change,
  };
}

/** The audit rows of an order's uncollected and cancelled amounts, in dollars. */
export async function uncollectedInAudit(orderId: string): Promise<[string, number][]> {
  const { results } = await env.DB.prepare('select action, detail from audit where subject = ? order by id')
    .bind(orderId)
    .all<{ action: string; detail: string }>();
  return results.map(({ action, detail }) => [action, JSON.parse(detail).uncollectedNanoUsd / usd(1)]);
}
