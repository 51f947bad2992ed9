/**
 * Stripe as a payment provider: top-ups and saved cards through Checkout, recharges without a person present, and
 * Stripe's signed events, translated. Stripe keeps the card; only the order's id, amounts and Stripe's own ids are
 * stored here.
 */
import Stripe from 'stripe';
import type { StripeSettings } from '../../env.ts';
import { acceptedSecrets } from '../../lib/rotation.ts';
import { TOLERANCE_MS } from '../../lib/standard-webhooks.ts';
import type { PaymentProvider, VerifiedWebhook, WebhookDelivery } from '../provider.ts';
import { stripeApi } from './api.ts';
import { fromStripe } from './call-error.ts';
import { type StripeEvent, StripeEventShape, type StripeLookUps } from './event.ts';
import { translate } from './events.ts';
import { writeInvoice } from './invoice.ts';
import { beginCardSetup, beginCheckout, newCustomer } from './pages.ts';
import { chargeCard, findCharge, forgetCard } from './recharge.ts';

export const STRIPE = 'stripe';

/**
 * In bytes. A dispute's event carries its evidence, 150,000 characters at most (docs.stripe.com/disputes/responding).
 */
const EVENT_BYTES_MAX = 640 * 1024;
/**
 * `t=` may appear only once, so that the signed time is the one that is checked; several signatures are allowed while
 * a secret is rotated.
 */
const SIGNATURE_HEADER = /^t=(\d{1,12})(?:,v\d=[0-9a-f]{1,128}){1,8}$/;

interface StripeConfig {
  readonly publicOrigin: string;
  readonly stripe: StripeSettings;
}

/** The Stripe provider. @param options.fetch reaches Stripe's API; the Worker's own unless a test passes one */
export function stripeProvider(
  { publicOrigin, stripe: settings }: StripeConfig,
  options: { fetch?: typeof fetch } = {},
): PaymentProvider {
  const calls = { publicOrigin, api: () => stripeApi(settings.secretKey, options.fetch) };
  const lookUps: StripeLookUps = {
    payment: (id) => fromStripe('GET /v1/payment_intents', calls.api().paymentIntents.retrieve(id)),
    setup: (id) =>
      fromStripe(
        'GET /v1/setup_intents',
        calls.api().setupIntents.retrieve(id, { expand: ['payment_method'] }),
      ),
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
    verifyWebhook: (delivery) => verifyWebhook(settings, lookUps, delivery),
  };
}

async function verifyWebhook(
  { secretKey, webhookSecret, webhookSecretBeside }: StripeSettings,
  lookUps: StripeLookUps,
  { headers, body, nowMs }: WebhookDelivery,
): Promise<VerifiedWebhook> {
  // With an empty secret anybody can sign (new-api, CVE-2026-41432). `config` refuses one too.
  const secrets = acceptedSecrets(webhookSecret, webhookSecretBeside);
  if (secrets.some((secret) => secret.length < 16)) throw new Error('the Stripe webhook secret is too short');
  const header = headers.get('stripe-signature') ?? '';
  const timestamp = SIGNATURE_HEADER.exec(header)?.[1];
  if (timestamp === undefined) return { ok: false, reason: 'signature_missing' };
  const events = await Promise.all(secrets.map((secret) => verifiedEvent(body, header, secret)));
  const event = events.find((each) => each !== 'signature_mismatch') ?? 'signature_mismatch';
  if (event === 'signature_mismatch') return { ok: false, reason: event };
  // The time is checked after the signature, and in both directions, which the SDK does not do.
  if (Math.abs(nowMs - Number(timestamp) * 1_000) > TOLERANCE_MS) {
    return { ok: false, reason: 'timestamp_out_of_tolerance' };
  }
  if (event === 'event_malformed') return { ok: false, reason: event };
  // Stripe's test mode takes cards that anybody can type, so its events must never reach an account of live money.
  if (event.livemode !== secretKey.includes('_live_')) return { ok: false, reason: 'mode_mismatch' };
  const translated = await translate(event, lookUps);
  return translated ? { ok: true, event: translated } : { ok: false, reason: 'event_malformed' };
}

async function verifiedEvent(
  body: Uint8Array,
  header: string,
  secret: string,
): Promise<StripeEvent | 'signature_mismatch' | 'event_malformed'> {
  try {
    // 0 turns the SDK's check of the time off; it is checked above.
    const provider = Stripe.createSubtleCryptoProvider();
    const event = await Stripe.webhooks.constructEventAsync(body, header, secret, 0, provider);
    return StripeEventShape.safeParse(event).data ?? 'event_malformed';
  } catch (error) {
    // Stripe's errors carry the whole body, so they are neither rethrown nor logged.
    return error instanceof Stripe.errors.StripeSignatureVerificationError
      ? 'signature_mismatch'
      : 'event_malformed';
  }
}
