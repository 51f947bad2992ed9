/**
 * Translates Stripe's events into `PaymentEvent`, with one reader for each type that money depends on; every other
 * type is `other`. Readers parse only the fields that they need: the rest of an event (names, addresses) goes
 * nowhere.
 */
import * as z from 'zod';
import type { PaymentEvent } from '../provider.ts';
import { cardSaved } from './card-event.ts';
import { Cents, other, type Reader, type StripeEvent, type StripeLookUps } from './event.ts';
import { Metadata, orderIn } from './metadata.ts';
import { RECHARGE_READERS } from './recharge-events.ts';
import { REVERSAL_READERS } from './reversal-events.ts';

/** The amounts that say how much of a total is tax. Discounts and shipping are never asked for by our checkouts. */
const Amounts = z.object({
  amount_subtotal: Cents.nullish(),
  total_details: z.object({ amount_discount: Cents, amount_shipping: Cents.nullish() }).nullish(),
});

const Session = z.object({
  mode: z.string(),
  payment_status: z.string(),
  client_reference_id: z.string().nullable(),
  ...Amounts.shape,
  amount_total: Cents.nullable(),
  currency: z.string().nullable(),
  metadata: Metadata,
});

const Invoice = z.object({
  subtotal: Cents.nullish(),
  total: Cents,
  amount_paid: Cents,
  currency: z.string(),
  metadata: Metadata,
  // The URL becomes a link on a portal page.
  hosted_invoice_url: z.url({ protocol: /^https$/ }).max(2_048),
});

const READERS: Readonly<Record<string, Reader>> = {
  'checkout.session.completed': checkoutEnded('paid'),
  'checkout.session.async_payment_succeeded': checkoutEnded('paid'),
  'checkout.session.async_payment_failed': checkoutEnded('closed'),
  'checkout.session.expired': checkoutEnded('closed'),
  'invoice.paid': invoiced,
  ...RECHARGE_READERS,
  ...REVERSAL_READERS,
};

/** @returns null for an event of a known type that lacks a required field */
export async function translate(event: StripeEvent, lookUps: StripeLookUps): Promise<PaymentEvent | null> {
  if (!Object.hasOwn(READERS, event.type)) return other(event);
  return READERS[event.type]!(event, lookUps);
}

function checkoutEnded(kind: 'paid' | 'closed'): Reader {
  return async (event, lookUps) => {
    const session = Session.safeParse(event.data.object).data;
    if (session === undefined) return null;
    const orderId = orderIn(session.metadata);
    // A checkout without an order sold nothing; it may have saved a card.
    if (orderId === null)
      return session.mode === 'setup' && kind === 'paid' ? cardSaved(event, lookUps) : other(event);
    if (session.mode !== 'payment' || session.client_reference_id !== orderId) return null;
    // `unpaid` is a bank transfer under way: async_payment_succeeded or _failed follows.
    if (kind === 'paid' && session.payment_status !== 'paid') return other(event);
    if (session.amount_total === null || session.currency === null) return null;
    return {
      eventId: event.id,
      orderId,
      orderKind: 'checkout',
      ...withoutTax(session.amount_total, goodsOf(session)),
      currency: session.currency.toUpperCase(),
      ...(kind === 'paid' ? { kind, charge: null } : { kind }),
    };
  };
}

async function invoiced(event: StripeEvent): Promise<PaymentEvent | null> {
  const tagged = z.object({ metadata: Metadata }).safeParse(event.data.object).data;
  if (tagged === undefined) return null;
  const orderId = orderIn(tagged.metadata);
  if (orderId === null) return other(event);
  const invoice = Invoice.safeParse(event.data.object).data;
  if (invoice === undefined || invoice.amount_paid !== invoice.total) return null;
  return {
    kind: 'invoiced',
    eventId: event.id,
    orderId,
    ...withoutTax(invoice.total, invoice.subtotal ?? null),
    currency: invoice.currency.toUpperCase(),
    invoiceUrl: invoice.hosted_invoice_url,
  };
}

/** The price of what was sold, before tax on top of it; null: the session does not tell. */
function goodsOf({
  amount_subtotal: subtotal,
  total_details: details,
}: z.infer<typeof Amounts>): number | null {
  if (subtotal == null) return null;
  return subtotal - (details?.amount_discount ?? 0) + (details?.amount_shipping ?? 0);
}

/**
 * Divides a total into the goods and the tax on top of them. Tax that is included in the price is part of the goods,
 * since the customer ordered credit for that price.
 */
function withoutTax(
  totalCents: number,
  goodsCents: number | null,
): { amountCents: number; taxCents: number } {
  const taxCents = goodsCents === null ? 0 : Math.max(0, totalCents - goodsCents);
  return { amountCents: totalCents - taxCents, taxCents };
}
