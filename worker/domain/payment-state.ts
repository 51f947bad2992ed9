/** The state of a payment as its customer reads it. */

/** A checkout that nobody paid within this time is over; Stripe's own end after 24 hours, too. */
const CHECKOUT_MS = 24 * 3_600_000;

export interface PaymentFacts {
  readonly kind: 'checkout' | 'recharge';
  readonly state: 'open' | 'closed' | 'paid';
  /** When the bank declined an attempt last; null: it did not. */
  readonly declinedAtMs: number | null;
  readonly createdAtMs: number;
}

/**
 * An open checkout may still be paid with another card, so an attempt that was declined changes what is said of it and not
 * its state. One that is left lying is not "not paid yet" for ever.
 */
export function shownPaymentState(
  { kind, state, declinedAtMs, createdAtMs }: PaymentFacts,
  nowMs: number,
): PaymentFacts['state'] | 'declined' {
  if (state !== 'open' || kind !== 'checkout') return state;
  if (declinedAtMs !== null) return 'declined';
  return nowMs - createdAtMs > CHECKOUT_MS ? 'closed' : 'open';
}
