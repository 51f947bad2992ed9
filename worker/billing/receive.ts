/**
 * Applies providers' events: nothing before the signature is right and the event fits its order, and everything once.
 * Money that moved and does not fit its order is held for an operator, since refusing the event would lose it.
 */
import { database } from '../db/client.ts';
import { addHeld, closeHeld, isPaymentHeld } from '../db/held-payments.ts';
import {
  addEvent,
  type EventRow,
  findOrder,
  isEventKnown,
  markClosed,
  markDeclined,
  markInvoiced,
  type PaymentOrder,
} from '../db/payments.ts';
import { nanoUsd } from '../domain/money.ts';
import type { Env } from '../env.ts';
import { applyCardSaved } from './card-saved.ts';
import { creditOrder, followPayment } from './paid.ts';
import {
  NANO_PER_CENT,
  type PaymentEvent,
  type PaymentProvider,
  type UnclearReason,
  type WebhookDelivery,
  type WebhookFault,
} from './provider.ts';
import { applyDecline } from './recharge/decline.ts';
import { applyReversal, reversedOf } from './reversal.ts';

type OrderEvent = Exclude<PaymentEvent, { kind: 'other' | 'card_saved' }>;
/** An event that can be compared with its order. */
type FittingEvent = Exclude<OrderEvent, { kind: 'unclear' }>;

export type EventFault =
  | WebhookFault
  | 'order_unknown'
  | 'order_not_credited'
  | 'invoice_not_written'
  | 'provider_mismatch'
  | 'customer_mismatch';

const FAULTY_RESULTS = ['order_not_credited', 'invoice_not_written', 'customer_mismatch'] as const;
type Applied =
  | 'duplicate'
  | 'noted'
  | 'credited'
  | 'reversed'
  | 'saved'
  | 'held'
  | 'ignored'
  | (typeof FAULTY_RESULTS)[number];

/** The ways in which an event about an order can differ from it. */
type Mismatch = 'kind_mismatch' | 'currency_mismatch' | 'amount_mismatch';
/** Why an event waits for an operator. `payment_not_credited`: it takes back from an order whose payment was held. */
export type HeldReason = Mismatch | UnclearReason | 'payment_not_credited';

export type ReceiveResult = { ok: true; result: string } | { ok: false; reason: EventFault };

/**
 * Verifies and applies one delivery.
 * @throws when a Wallet, D1 or the provider's API is down: the provider is to deliver the event again
 */
export async function receive(
  env: Env,
  provider: PaymentProvider,
  delivery: WebhookDelivery,
): Promise<ReceiveResult> {
  const verified = await provider.verifyWebhook(delivery);
  if (!verified.ok) return verified;
  const { event } = verified;
  if (event.kind === 'other') return { ok: true, result: 'ignored' };
  const { nowMs } = delivery;
  const db = database(env);
  if (event.kind === 'card_saved') {
    const known = await isEventKnown(db, { provider: provider.name, eventId: event.eventId });
    return resultOf(known ? 'duplicate' : await applyCardSaved(env, provider, { event, nowMs }));
  }
  const order = await findOrder(db, event.orderId);
  if (order === null) return { ok: false, reason: 'order_unknown' };
  if (order.provider !== provider.name) return { ok: false, reason: 'provider_mismatch' };
  return resultOf(await apply(env, provider, { event, order, nowMs }));
}

function resultOf(result: Applied): ReceiveResult {
  const reason = FAULTY_RESULTS.find((each) => each === result);
  return reason === undefined ? { ok: true, result } : { ok: false, reason };
}

/** A reversal names the whole payment, tax included; every other event names the amount without it. */
function mismatch(event: FittingEvent, order: PaymentOrder): Mismatch | null {
  if ('orderKind' in event && order.kind !== event.orderKind) return 'kind_mismatch';
  if (order.currency !== event.currency) return 'currency_mismatch';
  const expected = order.amountNanoUsd + (event.kind === 'reversed' ? order.taxNanoUsd : 0);
  return expected === event.amountCents * NANO_PER_CENT ? null : 'amount_mismatch';
}

interface Delivered<Event extends OrderEvent = OrderEvent> {
  readonly event: Event;
  readonly order: PaymentOrder;
  readonly nowMs: number;
}

async function apply(env: Env, provider: PaymentProvider, delivered: Delivered): Promise<Applied> {
  const { event, order, nowMs } = delivered;
  const db = database(env);
  const row = { provider: provider.name, eventId: event.eventId, orderId: order.id, receivedAtMs: nowMs };
  if (await isEventKnown(db, row)) {
    if (event.kind !== 'paid' || order.state !== 'paid') return 'duplicate';
    return followPayment(env, provider, { order, charge: event.charge, nowMs }, 'duplicate');
  }
  if (event.kind === 'unclear') return hold(env, row, delivered, event.reason);
  if (event.kind === 'reversed' && order.state !== 'paid') {
    // Before the credit there is nothing to take back. Of a payment that is held none may ever come; otherwise the provider
    // keeps the event and sends it again.
    const isHeld = await isPaymentHeld(db, order.id);
    return isHeld ? hold(env, row, delivered, 'payment_not_credited') : 'order_not_credited';
  }
  const reason = mismatch(event, order);
  if (reason !== null) return hold(env, row, delivered, reason);
  return applyFitting(env, provider, { event, order, nowMs }, row);
}

async function applyFitting(
  env: Env,
  provider: PaymentProvider,
  { event, order, nowMs }: Delivered<FittingEvent>,
  row: EventRow,
): Promise<Applied> {
  const db = database(env);
  switch (event.kind) {
    case 'declined':
      if (order.kind === 'recharge') await applyDecline(env, { order, why: event.why, event: row, nowMs });
      // A declined checkout stays open for another card, or paid when the decline arrives late.
      else await markDeclined(db, row);
      return 'noted';
    case 'closed':
      await markClosed(db, row);
      return 'noted';
    case 'invoiced':
      await markInvoiced(db, row, event.invoiceUrl);
      return 'noted';
    case 'paid': {
      const taxNanoUsd = nanoUsd((event.taxCents ?? 0) * NANO_PER_CENT);
      await creditOrder(env, order, { event: row, taxNanoUsd });
      return followPayment(env, provider, { order, charge: event.charge, nowMs }, 'credited');
    }
    case 'reversed':
      await applyReversal(env, db, { reversal: reversedOf(event, order), order, nowMs });
      // An earlier event about this refund or dispute may wait for the amount that this one has.
      await closeHeld(
        db,
        { orderId: order.id, kind: 'reversed', source: event.source },
        { nowMs, actor: provider.name, note: 'a later event had the amount', detail: {} },
      );
      await addEvent(db, row);
      return 'reversed';
  }
}

/** Keeps what an event about money says for an operator; an event about no money is noted and left. */
async function hold(
  env: Env,
  row: EventRow,
  { event, order, nowMs }: Delivered,
  reason: HeldReason,
): Promise<'held' | 'ignored'> {
  const db = database(env);
  if (event.kind !== 'paid' && event.kind !== 'reversed' && event.kind !== 'unclear') {
    await addEvent(db, row);
    return 'ignored';
  }
  const facts = {
    reason,
    amountCents: event.kind === 'reversed' ? event.reversedCents : event.amountCents,
    currency: event.currency,
  };
  const held = {
    ...facts,
    orderId: order.id,
    kind: event.kind === 'paid' ? 'paid' : 'reversed',
    source: event.kind === 'paid' ? '' : event.source,
    receivedAtMs: nowMs,
  } as const;
  const entry = {
    atMs: nowMs,
    actor: row.provider,
    action: 'payment.held',
    subject: order.id,
    detail: facts,
  };
  await addHeld(db, row, held, entry);
  console.warn(JSON.stringify({ event: 'payment_held', order: order.id, reason }));
  return 'held';
}
