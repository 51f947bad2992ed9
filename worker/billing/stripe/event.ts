/** The envelope of Stripe's events, and the types that their readers share. */
import * as z from 'zod';
import type { PaymentEvent } from '../provider.ts';

export const StripeEventShape = z.object({
  id: z.string().regex(/^\w{1,255}$/),
  type: z.string(),
  livemode: z.boolean(),
  data: z.object({ object: z.unknown() }),
});
export type StripeEvent = z.infer<typeof StripeEventShape>;

export const Cents = z.int().nonnegative();
export const StripeId = z.string().regex(/^\w{1,255}$/);

/** Reads from Stripe the objects that an event only names. */
export interface StripeLookUps {
  /** A payment intent: refunds and disputes do not carry its metadata. */
  payment(paymentIntentId: string): Promise<unknown>;
  /** A setup intent with its payment method in full. */
  setup(setupIntentId: string): Promise<unknown>;
}

/** Translates one type of event. @returns null: it does not look as Stripe documents it */
export type Reader = (event: StripeEvent, lookUps: StripeLookUps) => Promise<PaymentEvent | null>;

export function other(event: StripeEvent): PaymentEvent {
  return { kind: 'other', eventId: event.id };
}
