/** Events as Stripe sends them: the envelope, with a signature by Stripe's own SDK over the exact bytes. */
import Stripe from 'stripe';
import { newStripeId } from './stripe-state.ts';

export const WEBHOOK_SECRET = 'whsec_test_0123456789abcdef';

export interface SignedEvent {
  readonly headers: Record<string, string>;
  readonly body: string;
}

interface Signing {
  readonly secret?: string;
  readonly atMs?: number;
}

export async function stripeEvent(
  type: string,
  object: unknown,
  { id = newStripeId('evt'), livemode = false, ...how }: { id?: string; livemode?: boolean } & Signing = {},
): Promise<SignedEvent> {
  const envelope = {
    id,
    object: 'event',
    api_version: '2026-10-28.endive',
    created: Math.floor(Date.now() / 1_000),
    data: { object },
    livemode,
    pending_webhooks: 1,
    request: { id: null, idempotency_key: null },
    type,
  };
  return signedBody(JSON.stringify(envelope), how);
}

export async function signedBody(
  body: string,
  { secret = WEBHOOK_SECRET, atMs = Date.now() }: Signing = {},
): Promise<SignedEvent> {
  const signature = await Stripe.webhooks.generateTestHeaderStringAsync({
    payload: body,
    secret,
    timestamp: Math.floor(atMs / 1_000),
    cryptoProvider: Stripe.createSubtleCryptoProvider(),
  });
  return { headers: { 'content-type': 'application/json', 'stripe-signature': signature }, body };
}
