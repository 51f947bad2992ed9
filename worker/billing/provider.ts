/**
 * What Tollgate asks of a payment provider: pages to send the customer to, charges of a card that was saved there, and
 * signed events about what happened. Credit comes from an event only, so a provider is as trustworthy as its signature.
 */

import type { PaymentOrder } from '../db/payments.ts';
import type { DeclineReason } from '../domain/decline.ts';
import type { NanoUsd } from '../domain/money.ts';

/** Providers count in cents, so an order must be whole cents to be compared exactly. */
export const NANO_PER_CENT = 10_000_000;

export interface CheckoutOrder {
  /** also the provider's idempotency key: the same order begun twice is one checkout */
  readonly orderId: string;
  readonly amountNanoUsd: NanoUsd;
  readonly currency: string;
  /** who pays, as the provider calls them: tax id and address that are typed once stay with them */
  readonly customerRef: string;
  /** printed on the invoice; null: none */
  readonly purchaseOrder: string | null;
}

/** A saved card that is to be charged while nobody is there to be asked. */
export interface CardCharge {
  /** also the provider's idempotency key: the same order charged twice is one charge */
  readonly orderId: string;
  readonly amountNanoUsd: NanoUsd;
  readonly currency: string;
  readonly customerRef: string;
  readonly methodRef: string;
}

/** pending: the bank agreed or is still asked, and the event will say so; declined: no money moved nor will */
export type ChargeState = { state: 'pending' } | { state: 'declined'; why: DeclineReason };

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

/** An event about an attempt to pay: it fits orders of its own kind only. */
interface OfAttempt extends OfPayment {
  readonly orderKind: PaymentOrder['kind'];
}

/** What an event says, in words that every provider can be translated into. */
export type PaymentEvent =
  /** nothing that credit depends on */
  | { readonly kind: 'other'; readonly eventId: string }
  /** the money is there; `charge`: of a card that was saved, and not yet invoiced */
  | (OfAttempt & { readonly kind: 'paid'; readonly charge: ChargeRef | null })
  /** it is not; a checkout stays open for another card */
  | (OfAttempt & { readonly kind: 'declined'; readonly why: DeclineReason })
  /** it will not be paid any more */
  | (OfAttempt & { readonly kind: 'closed' })
  /** where the customer reads the invoice of what was paid */
  | (OfPayment & { readonly kind: 'invoiced'; readonly invoiceUrl: string })
  | CardSavedEvent
  | ReversalEvent;

/** The provider's ids of a charge that succeeded and of who paid it. */
export interface ChargeRef {
  readonly paymentRef: string;
  readonly customerRef: string;
}

/** A person saved a card on the provider's page. */
export interface CardSavedEvent {
  readonly kind: 'card_saved';
  readonly eventId: string;
  readonly accountId: string;
  readonly customerRef: string;
  readonly methodRef: string;
  /** as a person knows it: `Visa …4242` */
  readonly methodLabel: string;
}

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

/** Every call throws `ProviderError` when the provider cannot be reached, refuses, or its answer was lost. */
export interface PaymentProvider {
  /** in webhook paths and order rows; never changes */
  readonly name: string;
  /** the largest event that it may send */
  readonly eventBytesMax: number;
  /** @returns the provider's id of the account as a customer; asked twice it is one customer */
  newCustomer(accountId: string): Promise<string>;
  /** @returns where to send the customer's browser */
  beginCheckout(order: CheckoutOrder): Promise<{ redirectUrl: string }>;
  /** Where a card is typed and kept without paying. @returns where to send the customer's browser */
  beginCardSetup(of: { accountId: string; customerRef: string }): Promise<{ redirectUrl: string }>;
  /** Forgets a saved card; one that is forgotten already is no error. */
  forgetCard(methodRef: string): Promise<void>;
  /** When it throws, the card may have been charged all the same: ask again with the same order, or look it up. */
  chargeCard(charge: CardCharge): Promise<ChargeState>;
  /** What became of a charge whose answer was lost; null: it never came to one. */
  findCharge(of: { orderId: string; customerRef: string; createdAtMs: number }): Promise<ChargeState | null>;
  /** Writes the invoice of a charge that succeeded; repeated it is one. Its address comes by an `invoiced` event. */
  writeInvoice(paid: Omit<CardCharge, 'methodRef'> & { paymentRef: string }): Promise<void>;
  /**
   * @param delivery the body's bytes exactly as they came: the signature is over them
   * @throws when the event is genuine but the provider had to be asked about it and did not answer: deliver it again
   */
  verifyWebhook(delivery: Delivery): Promise<VerifiedWebhook>;
}

export interface Delivery {
  readonly headers: Headers;
  readonly body: Uint8Array;
  readonly nowMs: number;
}

/** A call to a provider that failed. Its message tells an operator where to look, and nothing that was sent. */
export abstract class ProviderError extends Error {
  readonly code = 'provider_unavailable';
  /** false: the same call will not be answered otherwise, until an operator or the customer changes something */
  abstract readonly passing: boolean;
}
