/**
 * Stripe: top-ups through Checkout, and Stripe's signed events in our words. Stripe keeps the card; what comes here
 * and stays is the order's id, amounts and Stripe's own ids.
 */
import Stripe from 'stripe';
import type { StripeSettings } from '../env.ts';
import { NANO_PER_CENT, type PaymentProvider, type VerifiedWebhook } from './provider.ts';
import { TOLERANCE_MS } from './standard-webhooks.ts';
import { StripeCallError } from './stripe-call-error.ts';
import { ORDER_KEY, type StripeEvent, StripeEventShape, translate } from './stripe-events.ts';

export const STRIPE = 'stripe';

/** A customer waits for the answer; Stripe's p99 is far below. Each retry has this again. */
const CALL_TIMEOUT_MS = 10_000;
const CALL_RETRIES = 2;
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
  { publicOrigin, stripe: { secretKey, webhookSecret } }: StripeConfig,
  options: { fetch?: typeof fetch } = {},
): PaymentProvider {
  // made when it is called: a page that only asks whether top-ups are possible does without
  const api = () =>
    new Stripe(secretKey, {
      // looked up at each call, so that a test may put another in its place
      httpClient: Stripe.createFetchHttpClient((url, init) => (options.fetch ?? fetch)(url, init)),
      timeout: CALL_TIMEOUT_MS,
      maxNetworkRetries: CALL_RETRIES,
      telemetry: false,
    });

  return {
    name: STRIPE,
    eventBytesMax: EVENT_BYTES_MAX,

    async beginCheckout({ orderId, amountNanoUsd, currency }) {
      const metadata = { [ORDER_KEY]: orderId };
      const session = await api()
        .checkout.sessions.create(
          {
            mode: 'payment',
            client_reference_id: orderId,
            metadata,
            // Stripe copies a payment's metadata to its charge: this is how a refund finds its order.
            payment_intent_data: { metadata, description: `Tollgate credit, ${orderId}` },
            line_items: [
              {
                quantity: 1,
                price_data: {
                  currency: currency.toLowerCase(),
                  unit_amount: amountNanoUsd / NANO_PER_CENT,
                  product_data: { name: 'Tollgate credit' },
                },
              },
            ],
            // What is paid must be what was ordered, to the cent and in its currency.
            adaptive_pricing: { enabled: false },
            success_url: `${publicOrigin}/billing?order=${orderId}`,
            cancel_url: `${publicOrigin}/billing`,
          },
          { idempotencyKey: `checkout/${orderId}` },
        )
        .catch((error) => {
          throw new StripeCallError('POST /v1/checkout/sessions', error);
        });
      if (!session.url) throw new StripeCallError('POST /v1/checkout/sessions', 'no url in the answer');
      return { redirectUrl: session.url };
    },

    async verifyWebhook({ headers, body, nowMs }): Promise<VerifiedWebhook> {
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

      const payment = async (id: string) =>
        api()
          .paymentIntents.retrieve(id)
          .catch((error) => {
            throw new StripeCallError('GET /v1/payment_intents', error);
          });
      const translated = await translate(event, payment);
      return translated ? { ok: true, event: translated } : { ok: false, reason: 'event_malformed' };
    },
  };
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
