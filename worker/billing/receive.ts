/**
 * Applies providers' events: nothing before the signature is right and the event fits its order, and everything once.
 */
import { database } from '../db/client.ts';
import {
  addEvent,
  findOrder,
  isEventKnown,
  markClosed,
  markInvoiced,
  markPaid,
  type PaymentOrder,
} from '../db/payments.ts';
import { nanoUsd } from '../domain/money.ts';
import type { Env } from '../env.ts';
import { LoggableError } from '../lib/describe-error.ts';
import { applyCardSaved } from './card-saved.ts';
import { sendPaymentReceipt } from './payment-receipt-email.ts';
import {
  NANO_PER_CENT,
  type PaymentEvent,
  type PaymentProvider,
  type WebhookDelivery,
  type WebhookFault,
} from './provider.ts';
import { applyDecline } from './recharge/decline.ts';
import { invoiceRecharge } from './recharge/invoice.ts';
import { raisePaidNotice } from './recharge/notices.ts';
import { applyReversal } from './reversal.ts';

type OrderEvent = Exclude<PaymentEvent, { kind: 'other' | 'card_saved' }>;

export type EventFault =
  | WebhookFault
  | 'order_unknown'
  | 'order_not_credited'
  | 'invoice_not_written'
  | 'provider_mismatch'
  | 'kind_mismatch'
  | 'amount_mismatch'
  | 'currency_mismatch'
  | 'customer_mismatch';

const FAULTY_RESULTS = ['order_not_credited', 'invoice_not_written', 'customer_mismatch'] as const;
type Applied = 'duplicate' | 'noted' | 'credited' | 'reversed' | 'saved' | (typeof FAULTY_RESULTS)[number];

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
  const reason = mismatch(event, order, provider.name);
  return reason !== null
    ? { ok: false, reason }
    : resultOf(await apply(env, provider, { event, order, nowMs }));
}

function resultOf(result: Applied): ReceiveResult {
  const reason = FAULTY_RESULTS.find((each) => each === result);
  return reason === undefined ? { ok: true, result } : { ok: false, reason };
}

function mismatch(event: OrderEvent, order: PaymentOrder, provider: string): EventFault | null {
  if (order.provider !== provider) return 'provider_mismatch';
  if ('orderKind' in event && order.kind !== event.orderKind) return 'kind_mismatch';
  if (order.currency !== event.currency) return 'currency_mismatch';
  return order.amountNanoUsd === event.amountCents * NANO_PER_CENT ? null : 'amount_mismatch';
}

/**
 * Credits exactly once, wherever it breaks off: the Wallet is called before the event is stored, and it takes an
 * order or a step once. If it breaks off before the Wallet, nothing happened and the redelivery credits. Between the
 * Wallet and D1, the redelivery finds no event and calls the Wallet again, which returns the entry it has, and D1
 * catches up. After D1, the redelivery is recognised by its id. If the event were stored first, a break in between
 * would lose the credit.
 */
async function apply(
  env: Env,
  provider: PaymentProvider,
  { event, order, nowMs }: { event: OrderEvent; order: PaymentOrder; nowMs: number },
): Promise<Applied> {
  const db = database(env);
  const { eventId } = event;
  const row = { provider: provider.name, eventId, orderId: order.id, receivedAtMs: nowMs };
  const known = await isEventKnown(db, row);
  // The invoice comes last, so for a known event it is the only thing that can be missing.
  if (event.kind === 'paid' && event.charge !== null && known)
    return invoiceRecharge(provider, { order, charge: event.charge, nowMs }, 'duplicate');
  if (known) return 'duplicate';
  switch (event.kind) {
    case 'declined':
      if (order.kind === 'recharge') await applyDecline(env, { order, why: event.why, event: row, nowMs });
      // A declined checkout stays as it is: open for another card, or paid when the decline arrives late.
      else await addEvent(db, row);
      return 'noted';
    case 'closed':
      await markClosed(db, row);
      return 'noted';
    case 'invoiced':
      await markInvoiced(db, row, event.invoiceUrl);
      return 'noted';
    case 'paid': {
      await credit(env, order);
      if (order.kind === 'recharge') await raisePaidNotice(env, order, nowMs);
      await markPaid(db, row);
      await sendPaymentReceipt(env, order, nowMs);
      if (event.charge === null) return 'credited';
      return invoiceRecharge(provider, { order, charge: event.charge, nowMs }, 'credited');
    }
    case 'reversed':
      // Before the credit there is nothing to take back: the provider keeps the event and sends it again.
      if (order.state !== 'paid') return 'order_not_credited';
      await applyReversal(env, db, { event, order, nowMs });
      await addEvent(db, row);
      return 'reversed';
  }
}

async function credit(env: Env, order: PaymentOrder): Promise<void> {
  const amountNanoUsd = nanoUsd(order.amountNanoUsd);
  const entry = await env.WALLET.getByName(order.accountId).topUp({ orderId: order.id, amountNanoUsd });
  if (entry.paidNanoUsd !== amountNanoUsd)
    throw new LoggableError(`order ${order.id} was credited with another amount`);
}
