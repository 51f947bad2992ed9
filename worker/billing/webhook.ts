/** The webhook endpoint for providers' events, the only source of paid credit. */
import { type Context, Hono } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import type { Env } from '../env.ts';
import type { PaymentProvider } from './provider.ts';
import { providerNamed } from './providers.ts';
import { type EventFault, receive } from './receive.ts';

type EndpointFault = EventFault | 'provider_unknown' | 'body_too_large';

/**
 * Faults that a redelivery cannot fix are 4xx. Those that it can fix are 5xx, on which providers deliver again: a
 * refund that overtook its payment, and everything that is thrown (a Wallet, D1 or a provider's API that is down).
 */
const STATUS = {
  provider_unknown: 404,
  body_too_large: 413,
  signature_missing: 400,
  signature_mismatch: 400,
  timestamp_out_of_tolerance: 400,
  event_malformed: 400,
  mode_mismatch: 400,
  order_unknown: 404,
  order_not_credited: 503,
  invoice_not_written: 503,
  provider_mismatch: 400,
  customer_mismatch: 400,
} as const satisfies Record<EndpointFault, number>;

export const webhook = new Hono<{ Bindings: Env; Variables: { provider: PaymentProvider } }>();

webhook.post(
  '/webhooks/:provider',
  async function knownProvider(c, next) {
    const provider = providerNamed(c.env, c.req.param('provider'));
    if (provider === null) return refuse(c, 'provider_unknown');
    c.set('provider', provider);
    const maxSize = provider.eventBytesMax;
    return bodyLimit({ maxSize, onError: () => refuse(c, 'body_too_large') })(c, next);
  },
  async (c) => {
    const nowMs = Date.now();
    const body = new Uint8Array(await c.req.arrayBuffer());
    const received = await receive(c.env, c.get('provider'), { headers: c.req.raw.headers, body, nowMs });
    return received.ok ? c.json({ result: received.result }) : refuse(c, received.reason);
  },
);

/** Logs the reason alone: content from an unknown sender must not get into a log. */
function refuse(c: Context, reason: EndpointFault) {
  console.warn(JSON.stringify({ event: 'webhook_refused', reason }));
  const advice =
    STATUS[reason] >= 500
      ? 'Retry later.'
      : 'A retry will not help; check the endpoint, its secret and the order.';
  const message = `The event was not accepted: ${reason}. ${advice}`;
  return c.json(
    { error: { message, type: 'invalid_request_error', param: null, code: reason } },
    STATUS[reason],
  );
}
