/**
 * Stripe: top-ups and saved cards through Checkout, recharges without anybody there, and Stripe's signed events in our
 * words. Stripe keeps the card; what comes here and stays is the order's id, amounts and Stripe's own ids.
 */
import Stripe from 'stripe';
import type { StripeSettings } from '../../env.ts';
import { TOLERANCE_MS } from '../../lib/standard-webhooks.ts';
import type { Delivery, PaymentProvider, VerifiedWebhook } from '../provider.ts';
import { stripeApi } from './api.ts';
import { called } from './call-error.ts';
import { type StripeEvent, StripeEventShape, type StripeLookUps } from './event.ts';
import { translate } from './events.ts';
import { writeInvoice } from './invoice.ts';
import { beginCardSetup, beginCheckout, newCustomer } from './pages.ts';
import { chargeCard, findCharge, forgetCard } from './recharge.ts';

export const STRIPE = 'stripe';

/** A dispute's event carries its evidence, 150,000 characters at most (docs.stripe.com/disputes/responding). */
const EVENT_BYTES_MAX = 640 * 1024;
/** `t=` once, so that the time which is signed is the time which is looked at; a few signatures while a secret is rotated. */
const SIGNATURE_HEADER = /^t=(\d{1,12})(?:,v\d=[0-9a-f]{1,128}){1,8}$/;

interface StripeConfig {
  readonly publicOrigin: string;
  readonly stripe: StripeSettings;
}

/** @param options.fetch how Stripe's API is reached; the Worker's own unless a test brings another */
export function stripeProvider(
  { publicOrigin, stripe: settings }: StripeConfig,
  options: { fetch?: typeof fetch } = {},
): PaymentProvider {
  const calls = { publicOrigin, api: () => stripeApi(settings.secretKey, options.fetch) };
  const look: StripeLookUps = {
    payment: (id) => called('GET /v1/payment_intents', calls.api().paymentIntents.retrieve(id)),
    setup: (id) =>
      called('GET /v1/setup_intents', calls.api().setupIntents.retrieve(id, { expand: ['payment_method'] })),
  };
  return {
    name: STRIPE,
    eventBytesMax: EVENT_BYTES_MAX,
    newCustomer: (accountId) => newCustomer(calls, accountId),
    beginCheckout: (order) => beginCheckout(calls, order),
    beginCardSetup: (of) => beginCardSetup(calls, of),
    forgetCard: (methodRef) => forgetCard(calls, methodRef),
    chargeCard: (charge) => chargeCard(calls, charge),
    findCharge: (of) => findCharge(calls, of),
    writeInvoice: (paid) => writeInvoice(calls, paid),
    verifyWebhook: (delivery) => verifyWebhook(settings, look, delivery),
  };
}

async function verifyWebhook(
  { secretKey, webhookSecret }: StripeSettings,
  look: StripeLookUps,
  { headers, body, nowMs }: Delivery,
): Promise<VerifiedWebhook> {
  // With an empty secret anybody can sign (new-api, CVE-2026-41432). `config` refuses one too.
  if (webhookSecret.length < 16) throw new Error('the Stripe webhook secret is too short');
  const header = headers.get('stripe-signature') ?? '';
  const timestamp = SIGNATURE_HEADER.exec(header)?.[1];
  if (timestamp === undefined) return { ok: false, reason: 'signature_missing' };
  const event = await genuineEvent(body, header, webhookSecret);
  if (event === 'signature_mismatch') return { ok: false, reason: event };
  // Only a signed time is worth looking at, and in both directions, which the SDK does not.
  if (Math.abs(nowMs - Number(timestamp) * 1_000) > TOLERANCE_MS) {
    return { ok: false, reason: 'timestamp_out_of_tolerance' };
  }
  if (event === 'event_malformed') return { ok: false, reason: event };
  // Stripe's test mode takes cards that anybody can type: its events never touch an account of live money.
  if (event.livemode !== secretKey.includes('_live_')) return { ok: false, reason: 'mode_mismatch' };
  const translated = await translate(event, look);
  return translated ? { ok: true, event: translated } : { ok: false, reason: 'event_malformed' };
}

async function genuineEvent(
  body: Uint8Array,
  header: string,
  secret: string,
): Promise<StripeEvent | 'signature_mismatch' | 'event_malformed'> {
  try {
    // 0: no look at the time
    const provider = Stripe.createSubtleCryptoProvider();
    const event = await Stripe.webhooks.constructEventAsync(body, header, secret, 0, provider);
    return StripeEventShape.safeParse(event).data ?? 'event_malformed';
  } catch (error) {
    // Stripe's errors carry the whole body: they are neither thrown on nor logged.
    return error instanceof Stripe.errors.StripeSignatureVerificationError
      ? 'signature_mismatch'
      : 'event_malformed';
  }
}
