/**
 * Charges of a saved card without a person present. A charge is one PaymentIntent, created and confirmed in one call,
 * so that one idempotency key covers all of it and a lost response leaves one open question. The invoice follows the
 * payment (`attach_payment`). An invoice that charges by itself would take four calls before the money moves, each of
 * which can be lost, and would hide the order from refunds, because its payment does not get its metadata.
 */
import Stripe from 'stripe';
import type { DeclineReason } from '../../domain/decline-reasons.ts';
import { type CardCharge, type ChargeState, NANO_PER_CENT } from '../provider.ts';
import type { StripeCalls } from './api.ts';
import { fromStripe, StripeCallError } from './call-error.ts';
import { orderIn, orderMetadata } from './metadata.ts';

const INTENTS = '/v1/payment_intents';
/** Seconds by which Stripe's clock and ours may differ when a list begins at a time. */
const CLOCK_SKEW_S = 600;

/** Stripe's error and decline codes for which the card's owner can do something in particular. */
const REASONS: Readonly<Record<string, DeclineReason>> = {
  insufficient_funds: 'insufficient_funds',
  withdrawal_count_limit_exceeded: 'insufficient_funds',
  card_velocity_exceeded: 'insufficient_funds',
  expired_card: 'expired_card',
  authentication_required: 'authentication_required',
  payment_intent_authentication_failure: 'authentication_required',
};

/** Payment statuses of a charge under way or done. Any other needs a person to type a card, so the attempt is over. */
const PENDING: ReadonlySet<string> = new Set(['succeeded', 'processing']);

export async function chargeCard(
  { api }: StripeCalls,
  { orderId, amountNanoUsd, currency, customerRef, methodRef }: CardCharge,
): Promise<ChargeState> {
  try {
    const intent = await api().paymentIntents.create(
      {
        amount: amountNanoUsd / NANO_PER_CENT,
        currency: currency.toLowerCase(),
        customer: customerRef,
        payment_method: methodRef,
        allowed_payment_method_types: ['card'],
        off_session: true,
        confirm: true,
        metadata: orderMetadata(orderId, 'recharge'),
        description: `Tollgate credit, ${orderId}`,
      },
      { idempotencyKey: `recharge/${orderId}` },
    );
    return chargeState(intent);
  } catch (error) {
    const why = declineOf(error);
    if (why === null) throw new StripeCallError(`POST ${INTENTS}`, error);
    return { state: 'declined', why };
  }
}

/**
 * Looks through the customer's list, which is up to date at once; Stripe's search by metadata lags by up to an hour.
 */
export async function findCharge(
  { api }: StripeCalls,
  { orderId, customerRef, createdAtMs }: { orderId: string; customerRef: string; createdAtMs: number },
): Promise<ChargeState | null> {
  const created = { gte: Math.floor(createdAtMs / 1_000) - CLOCK_SKEW_S };
  const intents = api().paymentIntents.list({ customer: customerRef, created, limit: 100 });
  return fromStripe(
    `GET ${INTENTS}`,
    (async () => {
      for await (const intent of intents)
        if (orderIn(intent.metadata) === orderId) return chargeState(intent);
      return null;
    })(),
  );
}

/** Detaching a card that is no longer attached returns a 400: the goal is reached. */
export async function forgetCard({ api }: StripeCalls, methodRef: string): Promise<void> {
  try {
    await api().paymentMethods.detach(methodRef);
  } catch (error) {
    if (error instanceof Stripe.errors.StripeInvalidRequestError) return;
    throw new StripeCallError('POST /v1/payment_methods/detach', error);
  }
}

/** Translates a payment intent's status, from a call's response, an event or a list. */
export function chargeState(intent: {
  status: string;
  last_payment_error?: { code?: string | null; decline_code?: string | null } | null;
}): ChargeState {
  if (PENDING.has(intent.status)) return { state: 'pending' };
  if (intent.status === 'requires_action') return { state: 'declined', why: 'authentication_required' };
  return { state: 'declined', why: reasonOf(intent.last_payment_error ?? {}) };
}

function reasonOf({ code, decline_code }: { code?: string | null; decline_code?: string | null }) {
  for (const each of [decline_code, code]) if (each && Object.hasOwn(REASONS, each)) return REASONS[each]!;
  return 'card_declined';
}

/** null: the error does not tell whether the card was charged. */
function declineOf(error: unknown): DeclineReason | null {
  if (error instanceof Stripe.errors.StripeCardError) return reasonOf(error);
  // The card or its customer was removed at Stripe: the call was refused before any charge was tried.
  const isAboutCard =
    error instanceof Stripe.errors.StripeInvalidRequestError &&
    (error.param === 'payment_method' || error.param === 'customer');
  return isAboutCard ? 'card_unusable' : null;
}
