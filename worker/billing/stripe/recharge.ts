/**
 * Stripe without anybody there: a saved card is charged by one PaymentIntent, created and confirmed in one call, so that
 * one idempotency key covers all of it and a lost answer leaves one question. The invoice follows what was paid
 * (`attach_payment`); an invoice that charges by itself takes four calls before the money moves, each of which can be
 * lost, and hides the order from refunds, because its payment does not get its metadata.
 */
import Stripe from 'stripe';
import type { DeclineReason } from '../../domain/decline.ts';
import { type CardCharge, type ChargeState, NANO_PER_CENT } from '../provider.ts';
import type { StripeCalls } from './api.ts';
import { called, StripeCallError } from './call-error.ts';
import { orderIn, orderMetadata } from './metadata.ts';

const INTENTS = '/v1/payment_intents';
/** Stripe's clock and ours may differ by that much when a list begins at a time. */
const CLOCK_SKEW_S = 600;

/** Stripe's error and decline codes that the owner of the card can do something particular about. */
const REASONS: Readonly<Record<string, DeclineReason>> = {
  insufficient_funds: 'insufficient_funds',
  withdrawal_count_limit_exceeded: 'insufficient_funds',
  card_velocity_exceeded: 'insufficient_funds',
  expired_card: 'expired_card',
  authentication_required: 'authentication_required',
  payment_intent_authentication_failure: 'authentication_required',
};

/** By a payment's status. What is not here needs somebody to type a card, so this attempt is over. */
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

/** By the customer's list, which is exact at once; Stripe's search by metadata lags by up to an hour. */
export async function findCharge(
  { api }: StripeCalls,
  { orderId, customerRef, createdAtMs }: { orderId: string; customerRef: string; createdAtMs: number },
): Promise<ChargeState | null> {
  const created = { gte: Math.floor(createdAtMs / 1_000) - CLOCK_SKEW_S };
  const intents = api().paymentIntents.list({ customer: customerRef, created, limit: 100 });
  return called(
    `GET ${INTENTS}`,
    (async () => {
      for await (const intent of intents)
        if (orderIn(intent.metadata) === orderId) return chargeState(intent);
      return null;
    })(),
  );
}

/** A card that is not attached any more answers with 400: that is what was wanted. */
export async function forgetCard({ api }: StripeCalls, methodRef: string): Promise<void> {
  try {
    await api().paymentMethods.detach(methodRef);
  } catch (error) {
    if (error instanceof Stripe.errors.StripeInvalidRequestError) return;
    throw new StripeCallError('POST /v1/payment_methods/detach', error);
  }
}

/** Also what an event and a list say of a payment. */
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

/** null: nobody can tell from this error whether the card was charged. */
function declineOf(error: unknown): DeclineReason | null {
  if (error instanceof Stripe.errors.StripeCardError) return reasonOf(error);
  // The card was removed, or its customer, behind our back: refused before anything was tried.
  const aboutCard =
    error instanceof Stripe.errors.StripeInvalidRequestError &&
    (error.param === 'payment_method' || error.param === 'customer');
  return aboutCard ? 'card_unusable' : null;
}
