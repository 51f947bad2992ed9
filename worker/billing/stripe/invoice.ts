/**
 * The invoice of a recharge, written after it was paid: number, tax id and address of the customer, and the payment
 * attached to it. Each call has its own idempotency key, so broken off anywhere it is gone on with.
 */
import type { CardCharge } from '../provider.ts';
import { NANO_PER_CENT } from '../provider.ts';
import type { StripeCalls } from './api.ts';
import { called } from './call-error.ts';
import { orderMetadata } from './metadata.ts';

export async function writeInvoice(
  { api }: StripeCalls,
  paid: Omit<CardCharge, 'methodRef'> & { paymentRef: string },
): Promise<void> {
  const { orderId, amountNanoUsd, customerRef, paymentRef } = paid;
  const currency = paid.currency.toLowerCase();
  const once = (step: string) => ({ idempotencyKey: `invoice/${orderId}/${step}` });
  const { invoices, invoiceItems } = api();
  const { id } = await called(
    'POST /v1/invoices',
    invoices.create(
      {
        customer: customerRef,
        currency,
        // never to be collected by Stripe: the money is there already
        auto_advance: false,
        metadata: orderMetadata(orderId, 'recharge'),
        description: `Tollgate credit, ${orderId}`,
      },
      once('create'),
    ),
  );
  const line = { customer: customerRef, invoice: id, currency, description: 'Tollgate credit' };
  await called(
    'POST /v1/invoiceitems',
    invoiceItems.create({ ...line, amount: amountNanoUsd / NANO_PER_CENT }, once('line')),
  );
  await called(
    'POST /v1/invoices/finalize',
    invoices.finalizeInvoice(id, { auto_advance: false }, once('finalize')),
  );
  await called(
    'POST /v1/invoices/attach_payment',
    invoices.attachPayment(id, { payment_intent: paymentRef }, once('attach')),
  );
}
