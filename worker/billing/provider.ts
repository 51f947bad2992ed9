/**
 * The interface to a payment provider: pages to send the customer to, charges of a card that was saved there, and
 * signed events about what happened. Credit comes from an event only, so a provider is as trustworthy as its
 * signature.
 */

import type { PaymentOrder } from '../db/payments.ts';
import type { DeclineReason } from '../domain/decline-reasons.ts';
import type { NanoUsd } from '../domain/money.ts';
import { LoggableError } from '../lib/describe-error.ts';

/** Nano-USD in a cent. Providers count in cents, so an order must be whole cents to be compared exactly. */
export const NANO_PER_CENT = 10_000_000;

export interface CheckoutOrder {
  /** Also the provider's idempotency key: the same order begun twice is one checkout. */
  readonly orderId: string;
  readonly amountNanoUsd: NanoUsd;
  readonly currency: string;
  /** The provider's id of the payer; a tax id and address that were typed once stay with it. */
  readonly customerRef: string;
  /** Printed on the invoice; null: none. */
  readonly purchaseOrder: string | null;
}

/** A charge of a saved card without a person present. */
export interface CardCharge {
  /** Also the provider's idempotency key: the same order charged twice is one charge. */
  readonly orderId: string;
  readonly amountNanoUsd: NanoUsd;
  readonly currency: string;
  readonly customerRef: string;
  readonly methodRef: string;
}

/**
 * `pending`: the bank agreed or is still deciding, and an event will report it; `declined`: no money moved nor will.
 */
export type ChargeState = { state: 'pending' } | { state: 'declined'; why: DeclineReason };

/** The payment that an event is about, which is compared with the order before anything is done. */
interface PaymentFacts {
  /** The provider's own id of the event, the same at every delivery. */
  readonly eventId: string;
  readonly orderId: string;
  /** The amount to be paid without tax on top of it, in the currency's smallest unit, as providers count it. */
  readonly amountCents: number;
  /** Tax that was added to the amount; absent: none. */
  readonly taxCents?: number;
  /** ISO 4217, upper case. */
  readonly currency: string;
}

/** An event about an attempt to pay, which applies to orders of its own kind only. */
interface AttemptFacts extends PaymentFacts {
  readonly orderKind: PaymentOrder['kind'];
}

/** A provider's event in terms that every provider can be translated into. */
export type PaymentEvent =
  /** An event that credit does not depend on. */
  | { readonly kind: 'other'; readonly eventId: string }
  /** The money arrived. `charge` is set for a saved card's charge, which has no invoice yet. */
  | (AttemptFacts & { readonly kind: 'paid'; readonly charge: ChargeRef | null })
  /** The attempt failed; a checkout stays open for another card. */
  | (AttemptFacts & { readonly kind: 'declined'; readonly why: DeclineReason })
  /** The order can no longer be paid. */
  | (AttemptFacts & { readonly kind: 'closed' })
  /** The payment's invoice can be read at `invoiceUrl`. */
  | (PaymentFacts & { readonly kind: 'invoiced'; readonly invoiceUrl: string })
  | CardSavedEvent
  | ReversalEvent
  | UnclearEvent;

/** The provider's ids of a charge that succeeded and of its payer. */
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
  /** As a person recognises it: `Visa …4242`. */
  readonly methodLabel: string;
}

/** The provider took money back, or returned it after that. */
export interface ReversalEvent extends PaymentFacts {
  readonly kind: 'reversed';
  /** The provider's id of the source: a charge (its refunds together), a refund that failed, or a dispute. */
  readonly source: string;
  /**
   * The total that `source` has taken so far, its part of the tax included and not only this time; below zero for a
   * refund that failed.
   */
  readonly reversedCents: number;
  /** true: it was given back for good, whatever a late event still says. */
  readonly returned: boolean;
}

/** Money that moved, in a way that says nothing about the order's own amount: an operator has to decide. */
export interface UnclearEvent {
  readonly kind: 'unclear';
  readonly eventId: string;
  readonly orderId: string;
  readonly reason: UnclearReason;
  /** As in `ReversalEvent`. */
  readonly source: string;
  readonly amountCents: number;
  readonly currency: string;
}

/** The reasons for which a provider's event cannot be translated: see the labels in i18n/en/operator.ts. */
export type UnclearReason = 'reversed_in_other_currency' | 'dispute_status_unknown';

export type WebhookFault =
  | 'signature_missing'
  | 'signature_mismatch'
  | 'timestamp_out_of_tolerance'
  | 'event_malformed'
  | 'mode_mismatch';

export type VerifiedWebhook = { ok: true; event: PaymentEvent } | { ok: false; reason: WebhookFault };

/**
 * A payment provider. Every call throws `ProviderError` when the provider cannot be reached, refuses, or its answer
 * was lost.
 */
export interface PaymentProvider {
  /** Appears in webhook paths and order rows, so it never changes. */
  readonly name: string;
  /** Size limit of its events, in bytes. */
  readonly eventBytesMax: number;
  /** Creates the account's customer. @returns the provider's id of it; repeated calls return one customer */
  newCustomer(accountId: string): Promise<string>;
  /** Begins a checkout. @returns where to send the customer's browser */
  beginCheckout(order: CheckoutOrder): Promise<{ redirectUrl: string }>;
  /** Begins saving a card without paying. @returns where to send the customer's browser */
  beginCardSetup(of: { accountId: string; customerRef: string }): Promise<{ redirectUrl: string }>;
  /** Forgets a saved card; a card that is forgotten already is no error. */
  forgetCard(methodRef: string): Promise<void>;
  /**
   * Charges a saved card. When it throws, the card may have been charged all the same: call it again with the same
   * order, or look the charge up.
   */
  chargeCard(charge: CardCharge): Promise<ChargeState>;
  /** Looks up a charge whose answer was lost; null: the charge was never made. */
  findCharge(of: { orderId: string; customerRef: string; createdAtMs: number }): Promise<ChargeState | null>;
  /**
   * Issues the invoice of a charge that succeeded; repeated calls issue one. Its URL arrives in an `invoiced` event.
   */
  writeInvoice(paid: Omit<CardCharge, 'methodRef'> & { paymentRef: string }): Promise<void>;
  /**
   * Verifies an event's signature and translates it.
   * @param delivery the body's bytes exactly as they arrived: the signature is over them
   * @throws when the event is genuine but the provider had to be asked about it and did not answer: it must be
   * redelivered
   */
  verifyWebhook(delivery: WebhookDelivery): Promise<VerifiedWebhook>;
}

export interface WebhookDelivery {
  readonly headers: Headers;
  readonly body: Uint8Array;
  readonly nowMs: number;
}

/** A failed call to a provider. Its message tells an operator where to look, and nothing that was sent. */
export abstract class ProviderError extends LoggableError {
  readonly code = 'provider_unavailable';
  /** false: the same call will fail again until an operator or the customer changes something. */
  abstract readonly retryable: boolean;
}
