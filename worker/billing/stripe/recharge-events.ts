/**
 * Translates Stripe's events about charges of a saved card. Checkout's payments have events of these types too; they
 * are handled by their checkout.session events.
 */
import * as z from 'zod';
import type { PaymentEvent } from '../provider.ts';
import { Cents, other, type Reader, type StripeEvent, StripeId } from './event.ts';
import { Metadata, orderIn, orderKindIn } from './metadata.ts';
import { chargeState } from './recharge.ts';

const Intent = z.object({
  id: StripeId,
  status: z.string(),
  amount: Cents,
  amount_received: Cents,
  currency: z.string(),
  customer: StripeId,
  metadata: Metadata,
  last_payment_error: z.object({ code: z.string().nullish(), decline_code: z.string().nullish() }).nullish(),
});

/** The statuses that fit each event type: any other means that the event is malformed. */
const STATUSES = {
  paid: ['succeeded'],
  declined: ['requires_payment_method', 'requires_action', 'requires_confirmation', 'canceled'],
  closed: ['canceled'],
} as const satisfies Record<string, readonly string[]>;

export const RECHARGE_READERS: Readonly<Record<string, Reader>> = {
  'payment_intent.succeeded': chargeEnded('paid'),
  'payment_intent.payment_failed': chargeEnded('declined'),
  'payment_intent.canceled': chargeEnded('closed'),
};

function chargeEnded(kind: keyof typeof STATUSES): Reader {
  return async (event) => {
    const tagged = z.object({ metadata: Metadata }).safeParse(event.data.object).data;
    if (tagged === undefined) return null;
    const orderId = orderIn(tagged.metadata);
    if (orderId === null || orderKindIn(tagged.metadata) !== 'recharge') return other(event);
    const intent = Intent.safeParse(event.data.object).data;
    if (intent === undefined || !(STATUSES[kind] as readonly string[]).includes(intent.status)) return null;
    return outcome(kind, intent, event, orderId);
  };
}

function outcome(
  kind: keyof typeof STATUSES,
  intent: z.infer<typeof Intent>,
  event: StripeEvent,
  orderId: string,
): PaymentEvent {
  const facts = {
    eventId: event.id,
    orderId,
    orderKind: 'recharge',
    // A partial payment would not match the order's amount.
    amountCents: kind === 'paid' ? intent.amount_received : intent.amount,
    currency: intent.currency.toUpperCase(),
  } as const;
  if (kind === 'paid')
    return { ...facts, kind, charge: { paymentRef: intent.id, customerRef: intent.customer } };
  if (kind === 'closed') return { ...facts, kind };
  const state = chargeState(intent);
  return { ...facts, kind, why: state.state === 'declined' ? state.why : 'card_declined' };
}
