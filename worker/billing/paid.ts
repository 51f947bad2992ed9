/** The consequences of a payment that arrived. Each part happens once for its order, however many events report it. */
import { database } from '../db/client.ts';
import { type EventRow, markPaid, type PaymentOrder } from '../db/payments.ts';
import { type NanoUsd, nanoUsd } from '../domain/money.ts';
import type { Env } from '../env.ts';
import { LoggableError } from '../lib/describe-error.ts';
import { sendPaymentReceipt } from './payment-receipt-email.ts';
import type { ChargeRef, PaymentProvider } from './provider.ts';
import { invoiceRecharge } from './recharge/invoice.ts';
import { raisePaidNotice } from './recharge/notices.ts';

/**
 * Credits the order, marks it paid and issues its invoice. The Wallet is called before the event is stored, and it takes
 * an order once: a delivery that breaks off in between is completed by the next, and a break before the Wallet loses
 * nothing.
 */
export async function creditOrder(
  env: Env,
  order: PaymentOrder,
  { event, taxNanoUsd }: { event: EventRow; taxNanoUsd: NanoUsd },
): Promise<void> {
  const amountNanoUsd = nanoUsd(order.amountNanoUsd);
  const entry = await env.WALLET.getByName(order.accountId).topUp({ orderId: order.id, amountNanoUsd });
  if (entry.paidNanoUsd !== amountNanoUsd)
    throw new LoggableError(`order ${order.id} was credited with another amount`);
  await markPaid(database(env), event, taxNanoUsd);
}

/**
 * Tells the account, and issues a recharge's invoice at the provider. It also runs for an event that is known, because
 * the delivery that stored it may have broken off here.
 * @param result of the event so far
 */
export async function followPayment<Result extends string>(
  env: Env,
  provider: PaymentProvider,
  { order, charge, nowMs }: { order: PaymentOrder; charge: ChargeRef | null; nowMs: number },
  result: Result,
): Promise<Result | 'invoice_not_written'> {
  if (order.kind === 'recharge') await raisePaidNotice(env, order, nowMs);
  await sendPaymentReceipt(env, order, nowMs);
  return charge === null ? result : invoiceRecharge(provider, { order, charge, nowMs }, result);
}
