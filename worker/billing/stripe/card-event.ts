/** Checkout saved a card: the event names a setup intent, and Stripe says which card came of it and whose it is. */
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
    /** null: detached since */
    customer: StripeId.nullable(),
    card: z.object({ brand: z.string().max(40), last4: z.string().regex(/^\d{4}$/) }),
  }),
});

/** As they write themselves; others are written as Stripe does. */
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

export async function cardSaved(event: StripeEvent, look: StripeLookUps): Promise<PaymentEvent | null> {
  const ours = z.object({ metadata: Metadata }).safeParse(event.data.object).data;
  const accountId = accountIn(ours?.metadata);
  if (accountId === null) return other(event);
  const session = SetupSession.safeParse(event.data.object).data;
  if (session === undefined) return null;
  const setup = Setup.safeParse(await look.setup(session.setup_intent)).data;
  if (setup === undefined || setup.status !== 'succeeded') return null;
  if (accountIn(setup.metadata) !== accountId) return null;
  const { id, customer, card } = setup.payment_method;
  // A late delivery of what was removed meanwhile brings no card back.
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
