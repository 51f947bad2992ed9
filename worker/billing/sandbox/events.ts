/** The sandbox's events: their signature, and their translation into `PaymentEvent`. */
import * as z from 'zod';
import { DECLINE_REASONS } from '../../domain/decline-reasons.ts';
import { newId } from '../../domain/ids.ts';
import type { Config } from '../../env.ts';
import { signWebhook } from '../../lib/standard-webhooks.ts';
import type { PaymentEvent } from '../provider.ts';

export type SandboxSettings = Pick<Config, 'publicOrigin' | 'sandboxWebhookSecret'>;

const Attempt = z.object({
  order_id: z.string(),
  order_kind: z.enum(['checkout', 'recharge']),
  amount_cents: z.int().positive(),
  currency: z.string(),
});
const Declined = Attempt.extend({ reason: z.enum(DECLINE_REASONS) });
const Invoiced = Attempt.omit({ order_kind: true }).extend({
  // The URL becomes a link on a portal page; plain http is allowed for a developer's own machine.
  invoice_url: z.url({ protocol: /^https?$/ }).max(2_048),
});
const CardSaved = z.object({
  account_id: z.string(),
  customer_ref: z.string(),
  method_ref: z.string(),
  method_label: z.string().max(40),
});

/** Each event type with its data. */
export type SandboxEvent =
  | { type: 'payment.paid'; data: z.input<typeof Attempt> }
  | { type: 'payment.declined'; data: z.input<typeof Declined> }
  | { type: 'invoice.paid'; data: z.input<typeof Invoiced> }
  | { type: 'card.saved'; data: z.input<typeof CardSaved> };

/** A signed event as the sandbox would send it over HTTP: headers and body of a webhook request. */
export async function signedSandboxEvent(
  { sandboxWebhookSecret }: Pick<SandboxSettings, 'sandboxWebhookSecret'>,
  event: SandboxEvent,
  nowMs: number,
): Promise<{ headers: Record<string, string>; body: string }> {
  const body = JSON.stringify({ ...event, timestamp: new Date(nowMs).toISOString() });
  const signature = await signWebhook(sandboxWebhookSecret, {
    id: newId('evt', nowMs),
    timestamp: String(Math.floor(nowMs / 1_000)),
    body: new TextEncoder().encode(body),
  });
  return { headers: { 'content-type': 'application/json', ...signature }, body };
}

type Reader = (eventId: string, data: unknown) => PaymentEvent | null;

const READERS: Readonly<Record<SandboxEvent['type'], Reader>> = {
  'payment.paid': (eventId, data) =>
    read(Attempt, data, (paid) => ({
      kind: 'paid',
      ...attempt(eventId, paid),
      orderKind: paid.order_kind,
      charge: null,
    })),
  'payment.declined': (eventId, data) =>
    read(Declined, data, (declined) => ({
      kind: 'declined',
      ...attempt(eventId, declined),
      orderKind: declined.order_kind,
      why: declined.reason,
    })),
  'invoice.paid': (eventId, data) =>
    read(Invoiced, data, (invoice) => ({
      kind: 'invoiced',
      ...attempt(eventId, invoice),
      invoiceUrl: invoice.invoice_url,
    })),
  'card.saved': (eventId, data) =>
    read(CardSaved, data, (card) => ({
      kind: 'card_saved',
      eventId,
      accountId: card.account_id,
      customerRef: card.customer_ref,
      methodRef: card.method_ref,
      methodLabel: card.method_label,
    })),
};

const Envelope = z.object({ type: z.string(), data: z.unknown() });

/** Translates an event's body. @returns null: it is not an event of the sandbox */
export function readSandboxEvent(eventId: string, body: Uint8Array): PaymentEvent | null {
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder().decode(body));
  } catch {
    return null;
  }
  const envelope = Envelope.safeParse(json).data;
  if (envelope === undefined) return null;
  if (!Object.hasOwn(READERS, envelope.type)) return { kind: 'other', eventId };
  return READERS[envelope.type as SandboxEvent['type']](eventId, envelope.data);
}

function read<T>(
  schema: z.ZodType<T>,
  data: unknown,
  translate: (data: T) => PaymentEvent,
): PaymentEvent | null {
  const result = schema.safeParse(data);
  return result.success ? translate(result.data) : null;
}

function attempt(eventId: string, data: { order_id: string; amount_cents: number; currency: string }) {
  const { order_id: orderId, amount_cents: amountCents, currency } = data;
  return { eventId, orderId, amountCents, currency };
}
