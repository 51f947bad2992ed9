/**
 * The sandbox: a payment provider inside the Worker that moves no money. Its events are signed and received like a
 * real provider's, so all code behind the webhook is exercised without an account anywhere. It stores nothing: a
 * card's behaviour follows from its name.
 */

import { waitUntil } from 'cloudflare:workers';
import { createHmac } from 'node:crypto';
import { config, type Env } from '../../env.ts';
import { describeError } from '../../lib/describe-error.ts';
import { acceptedSecrets } from '../../lib/rotation.ts';
import { verifyWebhookSignature } from '../../lib/standard-webhooks.ts';
import type {
  CardCharge,
  ChargeState,
  PaymentProvider,
  VerifiedWebhook,
  WebhookDelivery,
} from '../provider.ts';
import { declineOfCard } from './cards.ts';
import { readSandboxEvent } from './events.ts';
import { sendOutcome } from './send.ts';

export const SANDBOX = 'sandbox';
export const SANDBOX_CHECKOUT_PATH = '/sandbox/checkout';
export const SANDBOX_CARD_PATH = '/sandbox/cards';

export function sandboxProvider(env: Env): PaymentProvider {
  const { publicOrigin, sandboxWebhookSecret, beside } = config(env);
  const accepted = acceptedSecrets(sandboxWebhookSecret, beside.SANDBOX_WEBHOOK_SECRET);
  const sandbox: PaymentProvider = {
    name: SANDBOX,
    eventBytesMax: 64 * 1024,
    // The card page is found by this id alone, so the id must not be guessable.
    newCustomer: async (accountId) =>
      `sandbox_${createHmac('sha256', sandboxWebhookSecret).update(`customer ${accountId}`).digest('hex')}`,
    beginCheckout: async ({ orderId }) => ({
      redirectUrl: `${publicOrigin}${SANDBOX_CHECKOUT_PATH}/${orderId}`,
    }),
    beginCardSetup: async ({ customerRef }) => ({
      redirectUrl: `${publicOrigin}${SANDBOX_CARD_PATH}/${customerRef}`,
    }),
    forgetCard: async () => {},
    chargeCard: async (charge) => chargeCard(env, sandbox, charge),
    // It stores no charge: charging the same order again only sends the event again.
    findCharge: async () => null,
    // The invoice event follows the payment by itself.
    writeInvoice: async () => {},
    verifyWebhook: (delivery) => verify(accepted, delivery),
  };
  return sandbox;
}

/** The event follows the response, as a real provider's mostly does. */
function chargeCard(env: Env, sandbox: PaymentProvider, charge: CardCharge): ChargeState {
  const { orderId, amountNanoUsd, currency, methodRef } = charge;
  const declines = declineOfCard(methodRef);
  const order = { id: orderId, kind: 'recharge', amountNanoUsd, currency } as const;
  waitUntil(
    sendOutcome(env, sandbox, { order, declines }).catch((error) =>
      console.error(
        JSON.stringify({ event: 'sandbox_undelivered', order: orderId, error: describeError(error) }),
      ),
    ),
  );
  return declines === null ? { state: 'pending' } : { state: 'declined', why: declines };
}

async function verify(secrets: readonly string[], delivery: WebhookDelivery): Promise<VerifiedWebhook> {
  const signature = await verifyWebhookSignature(secrets, delivery);
  if (!signature.ok) return signature;
  const event = readSandboxEvent(signature.id, delivery.body);
  return event ? { ok: true, event } : { ok: false, reason: 'event_malformed' };
}
