/**
 * What Tollgate asks of a payment provider: a page to send the customer to, and signed events about what happened
 * there. Credit comes from an event only, so a provider is as trustworthy as its signature.
 */
import type { NanoUsd } from '../domain/money.ts';

export interface CheckoutOrder {
  /** also the provider's idempotency key: the same order begun twice is one checkout */
  readonly orderId: string;
  readonly amountNanoUsd: NanoUsd;
  readonly currency: string;
}

/** What an event says, in words that every provider can be translated into. */
export interface PaymentEvent {
  /** the provider's own id of the event, the same at every delivery */
  readonly eventId: string;
  /** paid: the money is there; declined: it is not, the order stays open; other: nothing that credit depends on */
  readonly kind: 'paid' | 'declined' | 'other';
  readonly orderId: string;
  /** in the currency's smallest unit, as providers count it */
  readonly amountCents: number;
  /** ISO 4217, upper case */
  readonly currency: string;
}

export type WebhookFault =
  | 'signature_missing'
  | 'signature_mismatch'
  | 'timestamp_out_of_tolerance'
  | 'event_malformed';

export type VerifiedWebhook = { ok: true; event: PaymentEvent } | { ok: false; reason: WebhookFault };

export interface PaymentProvider {
  /** in webhook paths and order rows; never changes */
  readonly name: string;
  /** @returns where to send the customer's browser */
  beginCheckout(order: CheckoutOrder): Promise<{ redirectUrl: string }>;
  /** @param delivery the body's bytes exactly as they came: the signature is over them */
  verifyWebhook(delivery: { headers: Headers; body: Uint8Array; nowMs: number }): Promise<VerifiedWebhook>;
}
