/**
 * Translates Stripe's refunds and disputes. They do not carry our metadata, so the payment is read to find its order.
 */
import * as z from 'zod';
import type { PaymentEvent, UnclearReason } from '../provider.ts';
import { Cents, other, type Reader, type StripeEvent, StripeId, type StripeLookUps } from './event.ts';
import { Metadata, orderIn } from './metadata.ts';

const Charge = z.object({
  id: StripeId,
  amount: Cents,
  amount_refunded: Cents,
  currency: z.string(),
  metadata: Metadata,
});

const Refund = z.object({
  id: StripeId,
  amount: Cents,
  currency: z.string(),
  payment_intent: StripeId.nullable(),
});

const Dispute = Refund.extend({
  status: z.string(),
  /** Amounts that left our Stripe account and came back, in the account's currency, without fees. */
  balance_transactions: z.array(z.object({ amount: z.int(), currency: z.string() })).nullish(),
});

const PaymentIntent = z.object({ amount: Cents, currency: z.string(), metadata: Metadata });

/** For each dispute status: whether its money was taken, was returned, or (an inquiry) never left. */
const DISPUTE_STATUS: Readonly<Record<string, 'kept' | 'taken' | 'returned'>> = {
  warning_needs_response: 'kept',
  warning_under_review: 'kept',
  warning_closed: 'kept',
  // Settled before it began, by a refund that has its own event.
  prevented: 'kept',
  needs_response: 'taken',
  under_review: 'taken',
  lost: 'taken',
  appeal_needs_response: 'taken',
  appeal_under_review: 'taken',
  won: 'returned',
};

export const REVERSAL_READERS: Readonly<Record<string, Reader>> = {
  'charge.refunded': refunded,
  'refund.failed': refundFailed,
  // Any of the four may arrive first, twice or never, so only the dispute's status counts.
  'charge.dispute.created': disputed,
  'charge.dispute.funds_withdrawn': disputed,
  'charge.dispute.funds_reinstated': disputed,
  'charge.dispute.closed': disputed,
};

async function refunded(event: StripeEvent): Promise<PaymentEvent | null> {
  const charge = Charge.safeParse(event.data.object).data;
  if (charge === undefined || charge.amount_refunded > charge.amount) return null;
  const orderId = orderIn(charge.metadata);
  if (orderId === null) return other(event);
  return {
    kind: 'reversed',
    eventId: event.id,
    orderId,
    amountCents: charge.amount,
    currency: charge.currency.toUpperCase(),
    source: charge.id,
    reversedCents: charge.amount_refunded,
    returned: false,
  };
}

/**
 * The bank did not accept the refund (a closed card, say): the money is with us again, and so is the customer's
 * credit.
 */
async function refundFailed(event: StripeEvent, lookUps: StripeLookUps): Promise<PaymentEvent | null> {
  const refund = Refund.safeParse(event.data.object).data;
  if (refund === undefined) return null;
  const cents = (paid: string) => (paid === refund.currency ? 0 - refund.amount : null);
  return reversal(event, refund, lookUps, { cents, returned: false });
}

async function disputed(event: StripeEvent, lookUps: StripeLookUps): Promise<PaymentEvent | null> {
  const dispute = Dispute.safeParse(event.data.object).data;
  if (dispute === undefined) return null;
  const isKnown = Object.hasOwn(DISPUTE_STATUS, dispute.status);
  const money = isKnown ? DISPUTE_STATUS[dispute.status] : 'unknown';
  if (money === 'kept') return other(event);
  return reversal(event, dispute, lookUps, {
    cents: (currency) => (money === 'unknown' ? null : takenIn(dispute, currency, money === 'returned')),
    returned: money === 'returned',
    unclear: isKnown ? 'reversed_in_other_currency' : 'dispute_status_unknown',
  });
}

/**
 * The disputed amount in the payment's currency. A bank may dispute in another one; then the amount that left our Stripe
 * account counts, if that is in the payment's currency. @returns null: no amount in that currency is known
 */
function takenIn(dispute: z.infer<typeof Dispute>, currency: string, isReturned: boolean): number | null {
  if (dispute.currency === currency) return dispute.amount;
  const taken = (dispute.balance_transactions ?? [])
    .filter((each) => each.currency === currency && each.amount < 0)
    .reduce((sum, { amount }) => sum - amount, 0);
  if (taken > 0) return taken;
  // A dispute that was given back for good needs no amount: whatever it took is returned.
  return isReturned ? 0 : null;
}

async function reversal(
  event: StripeEvent,
  { id, amount, currency, payment_intent }: z.infer<typeof Refund>,
  lookUps: StripeLookUps,
  taken: {
    /** The amount that `id` took in a currency; null: not known. */
    cents: (currency: string) => number | null;
    returned: boolean;
    unclear?: UnclearReason;
  },
): Promise<PaymentEvent | null> {
  // Checkout always creates a payment intent, so an object without one was not sold here.
  if (payment_intent === null) return other(event);
  const payment = PaymentIntent.safeParse(await lookUps.payment(payment_intent)).data;
  if (payment === undefined) return null;
  const orderId = orderIn(payment.metadata);
  if (orderId === null) return other(event);
  const of = { eventId: event.id, orderId, source: id };
  const reversedCents = taken.cents(payment.currency);
  if (reversedCents === null)
    return {
      ...of,
      kind: 'unclear',
      reason: taken.unclear ?? 'reversed_in_other_currency',
      amountCents: amount,
      currency: currency.toUpperCase(),
    };
  return {
    ...of,
    kind: 'reversed',
    amountCents: payment.amount,
    currency: payment.currency.toUpperCase(),
    reversedCents,
    returned: taken.returned,
  };
}
