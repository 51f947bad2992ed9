/**
 * Issues the invoice of a paid recharge, with a number and the customer's tax id and address, and attaches the
 * payment to it. Each call has its own idempotency key, so a retry continues wherever the last attempt broke off.
 */
import type { CardCharge } from '../provider.ts';
import { NANO_PER_CENT } from '../provider.ts';
import type { StripeCalls } from './api.ts';
import { fromStripe } from './call-error.ts';
import { orderMetadata } from './metadata.ts';

export async function writeInvoice(
  { api }: StripeCalls,
  paid: Omit<CardCharge, 'methodRef'> & { paymentRef: string },
): Promise<void> {
  const { orderId, amountNanoUsd, customerRef, paymentRef } = paid;
  const currency = paid.currency.toLowerCase();
  const once = (step: string) => ({ idempotencyKey: `invoice/${orderId}/${step}` });
  const { invoices, invoiceItems } = api();
  const { id } = await fromStripe(
    'POST /v1/invoices',
    invoices.create(
      {
        customer: customerRef,
        currency,
        // Stripe must not collect it: it is paid already.
        auto_advance: false,
        metadata: orderMetadata(orderId, 'recharge'),
        description: `Tollgate credit, ${orderId}`,
      },
      once('create'),
    ),
  );
  const line = { customer: customerRef, invoice: id, currency, description: 'Tollgate credit' };
  await fromStripe(
    'POST /v1/invoiceitems',
    invoiceItems.create({ ...line, amount: amountNanoUsd / NANO_PER_CENT }, once('line')),
  );
  await fromStripe(
    'POST /v1/invoices/finalize',
    invoices.finalizeInvoice(id, { auto_advance: false }, once('finalize')),
  );
  await fromStripe(
    'POST /v1/invoices/attach_payment',
    invoices.attachPayment(id, { payment_intent: paymentRef }, once('attach')),
  );
}
