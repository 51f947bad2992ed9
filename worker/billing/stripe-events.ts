/**
 * Stripe's events in our words, one reader for each type that money depends on; every other type is `other`.
 * Only what is read below is looked at: the rest of an event (names, addresses, card brands) goes nowhere.
 */
import { z } from 'zod';
import type { PaymentEvent } from './provider.ts';

/** Where an order's id stands in Stripe's metadata. One Stripe account may sell other things, which lack it. */
export const ORDER_KEY = 'tollgate_order_id';

export const StripeEventShape = z.object({
  id: z.string().regex(/^\w{1,255}$/),
  type: z.string(),
  livemode: z.boolean(),
  data: z.object({ object: z.unknown() }),
});
export type StripeEvent = z.infer<typeof StripeEventShape>;

const Metadata = z.record(z.string(), z.unknown()).nullish();
const Cents = z.int().nonnegative();
const StripeId = z.string().regex(/^\w{1,255}$/);

const Session = z.object({
  mode: z.string(),
  payment_status: z.string(),
  client_reference_id: z.string().nullable(),
  amount_total: Cents.nullable(),
  currency: z.string().nullable(),
  metadata: Metadata,
});

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

const Dispute = Refund.extend({ status: z.string() });

const PaymentIntent = z.object({ amount: Cents, currency: z.string(), metadata: Metadata });

/** Looks a payment up at Stripe: refunds and disputes do not carry its metadata. */
type FindPayment = (paymentIntentId: string) => Promise<unknown>;

/** @returns null: not what Stripe's documentation says it looks like */
type Reader = (event: StripeEvent, findPayment: FindPayment) => Promise<PaymentEvent | null>;

/** By a dispute's status: whether its money is gone, came back, or (an inquiry) never left. */
const DISPUTE_STATUS: Readonly<Record<string, 'kept' | 'taken' | 'returned'>> = {
  warning_needs_response: 'kept',
  warning_under_review: 'kept',
  warning_closed: 'kept',
  // settled before it began, by a refund that has its own event
  prevented: 'kept',
  needs_response: 'taken',
  under_review: 'taken',
  lost: 'taken',
  appeal_needs_response: 'taken',
  appeal_under_review: 'taken',
  won: 'returned',
};

const READERS: Readonly<Record<string, Reader>> = {
  'checkout.session.completed': checkoutEnded('paid'),
  'checkout.session.async_payment_succeeded': checkoutEnded('paid'),
  'checkout.session.async_payment_failed': checkoutEnded('closed'),
  'checkout.session.expired': checkoutEnded('closed'),
  'charge.refunded': refunded,
  'refund.failed': refundFailed,
  // Any of the four may come first, twice or never: the dispute's status says it all.
  'charge.dispute.created': disputed,
  'charge.dispute.funds_withdrawn': disputed,
  'charge.dispute.funds_reinstated': disputed,
  'charge.dispute.closed': disputed,
};

/** @returns null on an event of a known type that lacks what it must have */
export async function translate(event: StripeEvent, findPayment: FindPayment): Promise<PaymentEvent | null> {
  if (!Object.hasOwn(READERS, event.type)) return other(event);
  return READERS[event.type]!(event, findPayment);
}

function checkoutEnded(kind: 'paid' | 'closed'): Reader {
  return async (event) => {
    const session = Session.safeParse(event.data.object).data;
    if (session === undefined) return null;
    const orderId = orderIn(session.metadata);
    if (orderId === null) return other(event);
    if (session.mode !== 'payment' || session.client_reference_id !== orderId) return null;
    // `unpaid` is a bank transfer under way: async_payment_succeeded or _failed follows.
    if (kind === 'paid' && session.payment_status !== 'paid') return other(event);
    if (session.amount_total === null || session.currency === null) return null;
    return {
      kind,
      eventId: event.id,
      orderId,
      amountCents: session.amount_total,
      currency: session.currency.toUpperCase(),
    };
  };
}

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

/** The bank did not take the refund (a closed card, say): the money is with us again, so the customer's credit is too. */
async function refundFailed(event: StripeEvent, findPayment: FindPayment): Promise<PaymentEvent | null> {
  const refund = Refund.safeParse(event.data.object).data;
  if (refund === undefined) return null;
  return reversal(event, refund, findPayment, { reversedCents: 0 - refund.amount, returned: false });
}

async function disputed(event: StripeEvent, findPayment: FindPayment): Promise<PaymentEvent | null> {
  const dispute = Dispute.safeParse(event.data.object).data;
  if (dispute === undefined || !Object.hasOwn(DISPUTE_STATUS, dispute.status)) return null;
  const money = DISPUTE_STATUS[dispute.status];
  if (money === 'kept') return other(event);
  return reversal(event, dispute, findPayment, {
    reversedCents: dispute.amount,
    returned: money === 'returned',
  });
}

async function reversal(
  event: StripeEvent,
  { id, currency, payment_intent }: z.infer<typeof Refund>,
  findPayment: FindPayment,
  what: { reversedCents: number; returned: boolean },
): Promise<PaymentEvent | null> {
  // Checkout always makes one; what has none was not sold here.
  if (payment_intent === null) return other(event);
  const payment = PaymentIntent.safeParse(await findPayment(payment_intent)).data;
  if (payment === undefined || payment.currency !== currency) return null;
  const orderId = orderIn(payment.metadata);
  if (orderId === null) return other(event);
  return {
    kind: 'reversed',
    eventId: event.id,
    orderId,
    amountCents: payment.amount,
    currency: currency.toUpperCase(),
    source: id,
    ...what,
  };
}

function other(event: StripeEvent): PaymentEvent {
  return { kind: 'other', eventId: event.id };
}

function orderIn(metadata: z.infer<typeof Metadata>): string | null {
  const orderId = metadata?.[ORDER_KEY];
  return typeof orderId === 'string' ? orderId : null;
}
