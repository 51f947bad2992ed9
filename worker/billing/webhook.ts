/** Providers' events come in here, and nowhere else does paid credit come from. */
import { type Context, Hono } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { database } from '../db/client.ts';
import {
  addEvent,
  findOrder,
  isEventKnown,
  markClosed,
  markPaid,
  type PaymentOrder,
} from '../db/payments.ts';
import { nanoUsd } from '../domain/money.ts';
import { config, type Env } from '../env.ts';
import { NANO_PER_CENT, type PaymentEvent, type PaymentProvider, type WebhookFault } from './provider.ts';
import { providersOf } from './providers.ts';
import { applyReversal } from './reversal.ts';

type OrderEvent = Exclude<PaymentEvent, { kind: 'other' }>;

type WebhookRefusal =
  | WebhookFault
  | 'provider_unknown'
  | 'body_too_large'
  | 'order_unknown'
  | 'order_not_credited'
  | 'provider_mismatch'
  | 'amount_mismatch'
  | 'currency_mismatch';

/**
 * What stays wrong however often it is sent is 4xx. What gets better is 5xx, on which providers deliver again: a
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
  provider_mismatch: 400,
  amount_mismatch: 400,
  currency_mismatch: 400,
} as const satisfies Record<WebhookRefusal, number>;

export const webhook = new Hono<{ Bindings: Env; Variables: { provider: PaymentProvider } }>();

webhook.post(
  '/webhooks/:provider',
  async function knownProvider(c, next) {
    const provider = providersOf(config(c.env)).find(({ name }) => name === c.req.param('provider'));
    if (provider === undefined) return refuse(c, 'provider_unknown');
    c.set('provider', provider);
    const maxSize = provider.eventBytesMax;
    return bodyLimit({ maxSize, onError: () => refuse(c, 'body_too_large') })(c, next);
  },
  async (c) => {
    const nowMs = Date.now();
    const provider = c.get('provider');
    const body = new Uint8Array(await c.req.arrayBuffer());
    const verified = await provider.verifyWebhook({ headers: c.req.raw.headers, body, nowMs });
    if (!verified.ok) return refuse(c, verified.reason);
    const { event } = verified;
    if (event.kind === 'other') return c.json({ result: 'ignored' });

    const order = await findOrder(database(c.env), event.orderId);
    if (order === null) return refuse(c, 'order_unknown');
    const mismatch = compare(event, order, provider.name);
    if (mismatch !== null) return refuse(c, mismatch);
    const result = await apply(c.env, event, order, nowMs);
    return result === 'order_not_credited' ? refuse(c, result) : c.json({ result });
  },
);

function compare(event: OrderEvent, order: PaymentOrder, provider: string): WebhookRefusal | null {
  if (order.provider !== provider) return 'provider_mismatch';
  if (order.currency !== event.currency) return 'currency_mismatch';
  return order.amountNanoUsd === event.amountCents * NANO_PER_CENT ? null : 'amount_mismatch';
}

/**
 * Exactly one credit, wherever it breaks off: the Wallet is told before the event is remembered, and it takes an order
 * or a step once. Broken off before the Wallet: nothing happened, the redelivery credits. Between the Wallet and D1: the
 * redelivery finds no event, asks the Wallet again, which answers with the entry it has, and D1 catches up. After D1:
 * the redelivery is known by its id. Were the event remembered first, a break in between would lose the credit.
 */
async function apply(
  env: Env,
  event: OrderEvent,
  order: PaymentOrder,
  nowMs: number,
): Promise<'duplicate' | 'noted' | 'credited' | 'reversed' | 'order_not_credited'> {
  const db = database(env);
  const row = {
    provider: order.provider,
    eventId: event.eventId,
    orderId: order.id,
    receivedAtMs: nowMs,
  };
  if (await isEventKnown(db, row)) return 'duplicate';
  switch (event.kind) {
    case 'declined':
      // Leaves the order as it is: open for another card, or paid when the decline comes late.
      await addEvent(db, row);
      return 'noted';
    case 'closed':
      await markClosed(db, row);
      return 'noted';
    case 'paid': {
      const amountNanoUsd = nanoUsd(order.amountNanoUsd);
      const entry = await env.WALLET.getByName(order.accountId).topUp({ orderId: order.id, amountNanoUsd });
      if (entry.paidNanoUsd !== amountNanoUsd)
        throw new Error(`order ${order.id} was credited with another amount`);
      await markPaid(db, row);
      return 'credited';
    }
    case 'reversed':
      // Before its credit there is nothing to take back from: the provider keeps it and comes again.
      if (order.state !== 'paid') return 'order_not_credited';
      await applyReversal(env, db, { event, order, nowMs });
      await addEvent(db, row);
      return 'reversed';
  }
}

/** Logged by reason alone: what an unknown sender wrote is in no log. */
function refuse(c: Context, reason: WebhookRefusal) {
  console.warn('webhook_refused', reason);
  const advice =
    STATUS[reason] >= 500
      ? 'Send it again later.'
      : 'Sending it again will not help; check the endpoint, its secret and the order.';
  const message = `The event was not accepted: ${reason}. ${advice}`;
  return c.json(
    { error: { message, type: 'invalid_request_error', param: null, code: reason } },
    STATUS[reason],
  );
}
