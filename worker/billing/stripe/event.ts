/** The envelope of Stripe's events, and what the readers of their types share. */
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

/** Asks Stripe for what an event only names. */
export interface StripeLookUps {
  /** a payment intent: refunds and disputes do not carry its metadata */
  payment(paymentIntentId: string): Promise<unknown>;
  /** a setup intent with its payment method in full */
  setup(setupIntentId: string): Promise<unknown>;
}

/** @returns null: not what Stripe's documentation says it looks like */
export type Reader = (event: StripeEvent, look: StripeLookUps) => Promise<PaymentEvent | null>;

export function other(event: StripeEvent): PaymentEvent {
  return { kind: 'other', eventId: event.id };
}
