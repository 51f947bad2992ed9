/**
 * What Tollgate asks of a payment provider: a page to send the customer to, and signed events about what happened
 * there. Credit comes from an event only, so a provider is as trustworthy as its signature.
 */
import type { NanoUsd } from '../domain/money.ts';

/** Providers count in cents, so an order must be whole cents to be compared exactly. */
export const NANO_PER_CENT = 10_000_000;

export interface CheckoutOrder {
  /** also the provider's idempotency key: the same order begun twice is one checkout */
  readonly orderId: string;
  readonly amountNanoUsd: NanoUsd;
  readonly currency: string;
}

/** The payment that an event is about, to be compared with the order before anything is done. */
interface OfPayment {
  /** the provider's own id of the event, the same at every delivery */
  readonly eventId: string;
  readonly orderId: string;
  /** what was to be paid, in the currency's smallest unit, as providers count it */
  readonly amountCents: number;
  /** ISO 4217, upper case */
  readonly currency: string;
}

/** What an event says, in words that every provider can be translated into. */
export type PaymentEvent =
  /** nothing that credit depends on */
  | { readonly kind: 'other'; readonly eventId: string }
  /** paid: the money is there; declined: it is not, the order stays open; closed: it will not be paid any more */
  | (OfPayment & { readonly kind: 'paid' | 'declined' | 'closed' })
  | ReversalEvent;

/** The provider took money back, or gave it again after that. */
export interface ReversalEvent extends OfPayment {
  readonly kind: 'reversed';
  /** the provider's id of what did it: a charge (its refunds together), a refund that failed, a dispute */
  readonly source: string;
  /** all that `source` has taken so far, not only now; below zero for a refund that failed */
  readonly reversedCents: number;
  /** true: it was given back for good, whatever a late event still says */
  readonly returned: boolean;
}

export type WebhookFault =
  | 'signature_missing'
  | 'signature_mismatch'
  | 'timestamp_out_of_tolerance'
  | 'event_malformed'
  | 'mode_mismatch';

export type VerifiedWebhook = { ok: true; event: PaymentEvent } | { ok: false; reason: WebhookFault };

export interface PaymentProvider {
  /** in webhook paths and order rows; never changes */
  readonly name: string;
  /** the largest event that it may send */
  readonly eventBytesMax: number;
  /**
   * @returns where to send the customer's browser
   * @throws when the provider cannot be reached or refuses
   */
  beginCheckout(order: CheckoutOrder): Promise<{ redirectUrl: string }>;
  /**
   * @param delivery the body's bytes exactly as they came: the signature is over them
   * @throws when the event is genuine but the provider had to be asked about it and did not answer: deliver it again
   */
  verifyWebhook(delivery: { headers: Headers; body: Uint8Array; nowMs: number }): Promise<VerifiedWebhook>;
}
