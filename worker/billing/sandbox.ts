/**
 * The sandbox: a payment provider inside the Worker that moves no money. Its events are signed and go through the
 * same webhook as a real provider's, so everything behind that door is exercised without an account anywhere.
 */
import { z } from 'zod';
import { newId } from '../domain/ids.ts';
import type { Config } from '../env.ts';
import type { PaymentEvent, PaymentProvider } from './provider.ts';
import { signWebhook, verifyWebhookSignature } from './standard-webhooks.ts';

export const SANDBOX = 'sandbox';
export const SANDBOX_CHECKOUT_PATH = '/sandbox/checkout';

const KINDS = { 'payment.paid': 'paid', 'payment.declined': 'declined' } as const;

const SandboxEvent = z.object({
  type: z.string(),
  data: z.object({
    order_id: z.string(),
    amount_cents: z.int().positive(),
    currency: z.string(),
  }),
});

type SandboxConfig = Pick<Config, 'publicOrigin' | 'sandboxWebhookSecret'>;

export function sandboxProvider(config: SandboxConfig): PaymentProvider {
  return {
    name: SANDBOX,
    eventBytesMax: 64 * 1024,
    async beginCheckout({ orderId }) {
      return { redirectUrl: `${config.publicOrigin}${SANDBOX_CHECKOUT_PATH}/${orderId}` };
    },
    async verifyWebhook(delivery) {
      const signature = await verifyWebhookSignature(config.sandboxWebhookSecret, delivery);
      if (!signature.ok) return signature;
      const event = parseEvent(signature.id, delivery.body);
      return event ? { ok: true, event } : { ok: false, reason: 'event_malformed' };
    },
  };
}

/** A signed event as the sandbox would send it over HTTP: headers and body of a webhook request. */
export async function sandboxEvent(
  config: SandboxConfig,
  payment: { orderId: string; amountCents: number; currency: string; decision: 'paid' | 'declined' },
  nowMs: number,
): Promise<{ headers: Record<string, string>; body: string }> {
  const body = JSON.stringify({
    type: `payment.${payment.decision}`,
    timestamp: new Date(nowMs).toISOString(),
    data: { order_id: payment.orderId, amount_cents: payment.amountCents, currency: payment.currency },
  });
  const signature = await signWebhook(config.sandboxWebhookSecret, {
    id: newId('evt', nowMs),
    timestamp: String(Math.floor(nowMs / 1_000)),
    body: new TextEncoder().encode(body),
  });
  return { headers: { 'content-type': 'application/json', ...signature }, body };
}

function parseEvent(eventId: string, body: Uint8Array): PaymentEvent | null {
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder().decode(body));
  } catch {
    return null;
  }
  const event = SandboxEvent.safeParse(json).data;
  if (event === undefined) return null;
  const kind = Object.hasOwn(KINDS, event.type) ? KINDS[event.type as keyof typeof KINDS] : 'other';
  return {
    eventId,
    kind,
    orderId: event.data.order_id,
    amountCents: event.data.amount_cents,
    currency: event.data.currency,
  };
}
