/**
 * Translates the event of a card saved in Checkout: it names a setup intent, which Stripe is asked for the card and
 * its customer.
 */
import * as z from 'zod';
import type { PaymentEvent } from '../provider.ts';
import { other, type StripeEvent, StripeId, type StripeLookUps } from './event.ts';
import { accountIn, Metadata } from './metadata.ts';

const SetupSession = z.object({ customer: StripeId, setup_intent: StripeId, metadata: Metadata });

const Setup = z.object({
  status: z.string(),
  metadata: Metadata,
  payment_method: z.object({
    id: StripeId,
    type: z.literal('card'),
    /** null: detached since. */
    customer: StripeId.nullable(),
    card: z.object({ brand: z.string().max(40), last4: z.string().regex(/^\d{4}$/) }),
  }),
});

/** Brands as they write themselves; others are shown as Stripe writes them. */
const BRANDS: Readonly<Record<string, string>> = {
  amex: 'American Express',
  cartes_bancaires: 'Cartes Bancaires',
  diners: 'Diners Club',
  discover: 'Discover',
  eftpos_au: 'eftpos',
  jcb: 'JCB',
  mastercard: 'Mastercard',
  unionpay: 'UnionPay',
  visa: 'Visa',
};

export async function cardSaved(event: StripeEvent, lookUps: StripeLookUps): Promise<PaymentEvent | null> {
  const tagged = z.object({ metadata: Metadata }).safeParse(event.data.object).data;
  const accountId = accountIn(tagged?.metadata);
  if (accountId === null) return other(event);
  const session = SetupSession.safeParse(event.data.object).data;
  if (session === undefined) return null;
  const setup = Setup.safeParse(await lookUps.setup(session.setup_intent)).data;
  if (setup === undefined || setup.status !== 'succeeded') return null;
  if (accountIn(setup.metadata) !== accountId) return null;
  const { id, customer, card } = setup.payment_method;
  // A late delivery does not bring back a card that was removed meanwhile.
  if (customer === null) return other(event);
  if (customer !== session.customer) return null;
  return {
    kind: 'card_saved',
    eventId: event.id,
    accountId,
    customerRef: customer,
    methodRef: id,
    methodLabel: `${Object.hasOwn(BRANDS, card.brand) ? BRANDS[card.brand] : card.brand} …${card.last4}`,
  };
}
